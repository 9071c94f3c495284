package telemetry_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"tenu/internal/purchase"
	"tenu/internal/telemetry"
)

var mobile = regexp.MustCompile(`^(?:\+226|00226|226)?([567]\d{7})$`)

// read takes mobile numbers of one country.
func read(text string) (n purchase.MSISDN, ok bool) {
	found := mobile.FindStringSubmatch(strings.NewReplacer(" ", "", ".", "", "-", "").Replace(text))
	if found == nil {
		return 0, false
	}
	_, err := fmt.Sscan("226"+found[1], &n)
	return n, err == nil
}

type pair struct{ Payer purchase.MSISDN }

// No number passes, however it is logged; what is no number does.
func TestNoNumberPassesTheShield(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		log, err := telemetry.NewLogger(&out, format, "debug")
		if err != nil {
			t.Fatal(err)
		}
		line := func(write func(*slog.Logger)) string {
			t.Helper()
			out.Reset()
			write(log)
			return out.String()
		}
		const number = purchase.MSISDN(22670123456)
		if text := line(func(l *slog.Logger) { l.Info("early", "to", number, "error", "no +22670123456") }); strings.Contains(text, "0123456") || !strings.Contains(text, "+*********56") {
			t.Errorf("before it knows the installation: %s", text)
		}
		child := log.With("before", number)
		telemetry.Know(log, []byte("a secret of an installation"), "226", []int{8}, read)
		token := regexp.MustCompile(`number-[a-z2-7]{13}`)
		want := token.FindString(line(func(l *slog.Logger) { l.Info("m", "to", number) }))
		if want == "" || want != telemetry.Token([]byte("a secret of an installation"), number) {
			t.Fatalf("no token in %s", out.String())
		}
		for what, write := range map[string]func(*slog.Logger){
			"attribute": func(l *slog.Logger) { l.Info("m", slog.Any("to", number)) },
			"integer":   func(l *slog.Logger) { l.Info("m", slog.Int64("to", int64(number))) },
			"text":      func(l *slog.Logger) { l.Info("m", "to", number.String()) },
			"apart":     func(l *slog.Logger) { l.Info("m", "to", "call 70 12 34 56.") },
			"dashes":    func(l *slog.Logger) { l.Info("m", "to", "70-12-34-56") },
			"with code": func(l *slog.Logger) { l.Info("m", "to", "+226 70.12.34.56") },
			"path":      func(l *slog.Logger) { l.Info("m", "path", "/customers/%2B22670123456/cases") },
			"in digits": func(l *slog.Logger) { l.Info("m", "ref", "TX9922670123456001") },
			"message":   func(l *slog.Logger) { l.Info("no account 70123456") },
			"error": func(l *slog.Logger) {
				l.Info("m", "error", fmt.Errorf("wrapped: %w", errors.New("no line 0022670123456")))
			},
			"group":  func(l *slog.Logger) { l.Info("m", slog.Group("g", "to", number)) },
			"with":   func(l *slog.Logger) { l.With("to", number).WithGroup("g").Info("m") },
			"struct": func(l *slog.Logger) { l.Info("m", "pair", pair{number}) },
			"list":   func(l *slog.Logger) { l.Info("m", "all", []string{"70123456"}) },
			"child":  func(*slog.Logger) { child.Info("m", "to", number) },
		} {
			text := line(write)
			if got := token.FindString(text); got != want {
				t.Errorf("%s: %q, want %s in %s", what, got, want, text)
			}
			for _, form := range []string{"22670123456", "70123456", "70 12 34 56", "70-12-34-56", "70.12.34.56"} {
				if strings.Contains(text, form) {
					t.Errorf("%s: %s", what, text)
				}
			}
		}
		if text := line(func(l *slog.Logger) { l.Info("m", "to", number+1, "other", "+33612345678") }); strings.Contains(text, want) || len(token.FindAllString(text, -1)) != 2 {
			t.Errorf("of other numbers: %s", text)
		}
		for _, kept := range []string{"1099511627776", "2026-11-29", "20261129", "10:70:12", "K7M2-Q4XD-9T", "123456789012345678", "1 050 F CFA"} {
			if text := line(func(l *slog.Logger) { l.Info("m", "what", kept) }); !strings.Contains(text, kept) {
				t.Errorf("%q becomes %s", kept, text)
			}
		}
		if text := line(func(l *slog.Logger) { l.Info("m", "purchase", int64(70123456), "id", 1099511627776) }); !strings.Contains(text, "70123456") || !strings.Contains(text, "1099511627776") {
			t.Errorf("integers: %s", text)
		}
	}
}
