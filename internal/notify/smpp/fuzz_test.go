package smpp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"testing"
	"unicode/utf8"

	"github.com/linxGnu/gosmpp/data"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// FuzzPDU: whatever a centre sends is understood, refused, or the end of the stream;
// what is handed on is text, and bounded.
func FuzzPDU(f *testing.F) {
	for _, seed := range []string{
		"00000010000000150000000000000001", "00000010000000050000000000000063", "00000014000000050000000000000064ffffffff",
		"7fffffff000000050000000000000001",
		// deliver_sm of "STATUT", a receipt, a part by user data header, message_payload, USSD.
		"0000003800000005000000000000000200010132323637300000003132313000000000000000000000065354415455540424000553544154",
		"00000041000000050000000000000003000101323236373000000031323130000400000000000000002069643a6d3120737461743a44454c49565244206572723a303030",
		"0000003700000005000000000000000400010132323637300000003132313000400000000000000000000a0500032a0201736f6c6465",
	} {
		wire, err := hex.DecodeString(seed)
		if err != nil {
			f.Fatal(seed)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		var texts int
		c, err := New(Config{Address: "a:1", SystemID: "x", Clock: still{}, Log: slog.New(slog.DiscardHandler),
			Inbound: func(_ context.Context, in Inbound) error {
				if texts++; !utf8.ValidString(in.Text) || len(in.Text) > maxInboxText {
					t.Errorf("text %q", in.Text)
				}
				return nil
			},
			Receipt: func(_ context.Context, d notify.Delivery) error {
				if d.Ref == "" || d.State > notify.Delivered || len(d.Detail) > maxDetail {
					t.Errorf("receipt %+v", d)
				}
				return nil
			}})
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(bytes.NewReader(wire))
		for {
			p, err := readPDU(in)
			var bad *badPDU
			switch {
			case errors.As(err, &bad):
				continue
			case err != nil:
				return
			}
			_ = bytesOf(p)
			if !isAnswer(p.GetHeader().CommandID) && p.CanResponse() {
				_ = bytesOf(respond(p, data.ESME_RX_T_APPN))
			}
			c.receive(t.Context(), p)
		}
	})
}

// still is a clock that stands.
type still struct{ clock }

func (still) Now() purchase.Instant { return 1_800_000_000_000_000 }
