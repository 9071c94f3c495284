package smpp

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"math/big"
	"strings"
	"sync"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"

	"tenu/internal/notify"
	"tenu/internal/purchase"
)

// Inbound is what a customer wrote or typed.
type Inbound struct {
	From string // the number, with a "+" where the centre says that it is international
	To   string // what it was written to, such as a short code
	Text string
	USSD *USSD // set where it was typed in a USSD session
}

// USSD is a turn of a USSD session (ussd_service_op and its_session_info, sections
// 5.3.2.44 and 5.3.2.43).
type USSD struct {
	Op      byte
	Session []byte // as the centre names it, and as it is named in the answer
}

// The operations of USSD (section 5.3.2.44).
const (
	USSDBegins  byte = 1  // PSSR indication: the customer dialled
	USSDAsks    byte = 2  // USSR request: this text wants an answer
	USSDEnds    byte = 17 // PSSR response: the last text of the session
	USSDAnswers byte = 18 // USSR confirm: the customer answered
)

// mark makes a message a turn of a session.
func (u *USSD) mark(p *pdu.SubmitSM) {
	if u == nil {
		return
	}
	p.RegisteredDelivery = 0 // a screen has no receipt
	p.ServiceType = "USSD"
	p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagUssdServiceOp, Data: []byte{u.Op}})
	if len(u.Session) > 0 {
		p.RegisterOptionalParam(pdu.Field{Tag: pdu.TagItsSessionInfo, Data: u.Session})
	}
}

// states are how receipts say what became of a message: by the message_state of
// section 5.2.28, and in the text of appendix B.
var states = [...]struct {
	stat string
	code byte
}{
	notify.DeliveryUnknown: {"UNKNOWN", 7}, notify.Enroute: {"ENROUTE", 1}, notify.Accepted: {"ACCEPTD", 6},
	notify.Undeliverable: {"UNDELIV", 5}, notify.Rejected: {"REJECTD", 8}, notify.Deleted: {"DELETED", 4},
	notify.Expired: {"EXPIRED", 3}, notify.Delivered: {"DELIVRD", 2},
}

// maxInboxText bounds a text that was put together, in bytes.
const maxInboxText = 2 << 10

// How much of what the centre brings is worked on at once: receipts in any order,
// what customers write in the order in which each wrote it.
const (
	receiptsAtOnce = 128
	textsAtOnce    = 16
)

// handle answers what the centre brings until the link is over. What is not
// answered by then the centre brings again.
func (c *Client) handle(ctx context.Context, l *link) {
	var working sync.WaitGroup
	defer working.Wait()
	finish := func(p pdu.PDU, status data.CommandStatusType) { _ = l.write(respond(p, status)) } // an error ends the link itself
	receipts := make(chan struct{}, receiptsAtOnce)
	var texts [textsAtOnce]chan pdu.PDU
	for i := range texts {
		texts[i] = make(chan pdu.PDU, maxQueue)
		working.Go(func() {
			for p := range texts[i] {
				finish(p, c.receive(ctx, p))
			}
		})
		defer close(texts[i])
	}
	for {
		select {
		case <-l.ended:
			return
		case p := <-l.inbox:
			r := read(p)
			if r.class&data.SM_SMSC_DLV_RCPT_TYPE == 0 {
				hash := fnv.New32a()
				hash.Write([]byte(r.from.Address()))
				select {
				case texts[hash.Sum32()%textsAtOnce] <- p:
				default:
					finish(p, data.ESME_RMSGQFUL)
				}
				continue
			}
			receipts <- struct{}{}
			working.Go(func() {
				finish(p, c.receive(ctx, p))
				<-receipts
			})
		}
	}
}

// received is what deliver_sm and data_sm have in common.
type received struct {
	from, to pdu.Address
	class    byte
	coding   data.Encoding
	header   pdu.UDH
	encoded  []byte
	options  map[pdu.Tag]pdu.Field
}

// read takes a PDU apart.
func read(p pdu.PDU) received {
	var r received
	switch p := p.(type) {
	case *pdu.DeliverSM:
		encoded, _ := p.Message.GetMessageData() // never fails
		r = received{p.SourceAddr, p.DestAddr, p.EsmClass, p.Message.Encoding(), p.Message.UDH(), encoded, p.OptionalParameters}
	case *pdu.DataSM:
		r = received{p.SourceAddr, p.DestAddr, p.EsmClass, data.FromDataCoding(p.DataCoding), nil, nil, p.OptionalParameters}
	}
	if payload, has := r.options[pdu.TagMessagePayload]; has && len(r.encoded) == 0 { // section 5.3.2.32
		r.encoded = payload.Data
		if r.class&data.SM_UDH_GSM != 0 {
			if n, err := r.header.UnmarshalBinary(r.encoded); err == nil {
				r.encoded = r.encoded[n:]
			}
		}
	}
	return r
}

// receive hands on what the centre brought, and returns what it is answered. What
// cannot be used is taken, for it would come again and again.
func (c *Client) receive(ctx context.Context, p pdu.PDU) data.CommandStatusType {
	r := read(p)
	if r.class&data.SM_SMSC_DLV_RCPT_TYPE != 0 {
		receipt, ok := r.receipt(c.cfg.IDs)
		if !ok {
			c.cfg.Log.WarnContext(ctx, "receipt without a name", "centre", c.cfg.Address)
			return data.ESME_ROK
		}
		receipt.ToldAt = c.cfg.Clock.Now()
		return c.answer(ctx, c.cfg.Receipt(ctx, receipt))
	}
	text, err := textOf(r.coding, r.encoded)
	if err != nil || len(text) > maxInboxText {
		c.cfg.Log.WarnContext(ctx, "message without a text", "centre", c.cfg.Address, "bytes", len(r.encoded), "error", err)
		return data.ESME_ROK
	}
	in := Inbound{From: written(r.from), To: written(r.to), Text: text}
	if op, has := r.options[pdu.TagUssdServiceOp]; has && len(op.Data) == 1 {
		in.USSD = &USSD{Op: op.Data[0], Session: r.options[pdu.TagItsSessionInfo].Data}
	} else if part, is := r.part(); is {
		whole, complete := c.parts.add(in, part, c.cfg.Clock.Now())
		if !complete {
			return data.ESME_ROK
		}
		in.Text = whole
	}
	return c.answer(ctx, c.cfg.Inbound(ctx, in))
}

// answer is what the centre is answered after a handler.
func (c *Client) answer(ctx context.Context, err error) data.CommandStatusType {
	if err == nil {
		return data.ESME_ROK
	}
	c.cfg.Log.WarnContext(ctx, "the centre shall bring it again", "centre", c.cfg.Address, "error", err)
	return data.ESME_RX_T_APPN
}

// written is an address as it is written.
func written(a pdu.Address) string {
	if a.Ton() == tonInternational && !strings.HasPrefix(a.Address(), "+") {
		return "+" + a.Address()
	}
	return a.Address()
}

// receipt reads a delivery receipt: from the parameters made for it, and where
// these are missing from the text of appendix B.
func (r *received) receipt(ids IDs) (notify.Delivery, bool) {
	var out notify.Delivery
	text := string(r.encoded)
	ref := option(r.options, pdu.TagReceiptedMessageID)
	if ref == "" {
		ref = word(text, "id:")
	}
	if ref == "" {
		return out, false
	}
	out.Ref, out.Detail = ids.receipted(ref), clipped(word(text, "err:"))
	stat := strings.ToUpper(word(text, "stat:"))
	code, told := r.options[pdu.TagMessageStateOption]
	for s := range states {
		if told && len(code.Data) == 1 && states[s].code == code.Data[0] || !told && states[s].stat == stat {
			out.State = notify.DeliveryState(s)
		}
	}
	return out, true
}

func option(options map[pdu.Tag]pdu.Field, tag pdu.Tag) string {
	field := options[tag]
	return strings.TrimRight(string(field.Data), "\x00")
}

// word is what follows a name in a receipt's text, up to a space.
func word(text, name string) string {
	at := strings.Index(strings.ToLower(text), name)
	if at < 0 || at > 0 && text[at-1] != ' ' {
		return ""
	}
	found, _, _ := strings.Cut(text[at+len(name):], " ")
	return found
}

// maxDetail bounds a centre's own words.
const maxDetail = 32

func clipped(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxDetail)], "") }

// answered is the name of a message in an answer, as it is kept.
func (ids IDs) answered(ref string) string {
	switch ids {
	case HexThenDecimal:
		return rewritten(ref, 16, 10)
	case DecimalThenHex, SameIDs:
	}
	return strings.TrimSpace(ref)
}

// receipted is the name of a message in a receipt, as it is kept.
func (ids IDs) receipted(ref string) string {
	if ids == DecimalThenHex {
		return rewritten(ref, 16, 10)
	}
	return strings.TrimSpace(ref)
}

// rewritten writes a number in another base, and leaves what is none.
func rewritten(text string, from, to int) string {
	text = strings.TrimSpace(text)
	n, ok := new(big.Int).SetString(text, from)
	if !ok || len(text) > 64 {
		return text
	}
	return n.Text(to)
}

// part says which part of a longer message one is.
type part struct {
	reference    uint16
	number, most byte
}

// concat16 is the information element of a part with a reference of 16 bits (3GPP
// TS 23.040 section 9.2.3.24.8).
const concat16 = 0x08

// part reads which part a message is, from its user data header or from the sar
// parameters (section 5.3.2.22).
func (r *received) part() (p part, is bool) {
	most, number, reference, found := r.header.GetConcatInfo()
	if found {
		p = part{uint16(reference), number, most}
	} else if ie, has := r.header.FindInfoElement(concat16); has && len(ie.Data) == 4 {
		p = part{binary.BigEndian.Uint16(ie.Data), ie.Data[3], ie.Data[2]}
	} else {
		reference, number, most := r.options[pdu.TagSarMsgRefNum].Data, r.options[pdu.TagSarSegmentSeqnum].Data, r.options[pdu.TagSarTotalSegments].Data
		if len(reference) != 2 || len(number) != 1 || len(most) != 1 {
			return p, false
		}
		p = part{binary.BigEndian.Uint16(reference), number[0], most[0]}
	}
	return p, p.most > 1 && p.number >= 1 && p.number <= p.most
}

// joiner puts the parts of longer messages together, in memory: what a crash loses
// of an unfinished message its sender writes again. It is safe for concurrent use.
type joiner struct {
	mu    sync.Mutex
	parts map[whole]*gathered
}

// whole names a message that comes in parts.
type whole struct {
	from, to  string
	reference uint16
	most      byte
}

// gathered is what came of it so far.
type gathered struct {
	at    purchase.Instant
	texts map[byte]string
}

// The bounds of a joiner.
const (
	maxGathered = 1000
	gatherFor   = 10 * 60 * 1_000_000 // microseconds
)

func newJoiner() *joiner { return &joiner{parts: map[whole]*gathered{}} }

// add adds a part, and returns the whole text when it was the last that was missing.
func (j *joiner) add(in Inbound, p part, now purchase.Instant) (text string, complete bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := whole{in.From, in.To, p.reference, p.most}
	g := j.parts[key]
	if g == nil || now-g.at > gatherFor {
		if g == nil && len(j.parts) >= maxGathered {
			j.forget()
		}
		g = &gathered{texts: map[byte]string{}}
		j.parts[key] = g
	}
	g.at, g.texts[p.number] = now, in.Text
	if len(g.texts) < int(p.most) {
		return "", false
	}
	delete(j.parts, key)
	var b strings.Builder
	for n := byte(1); n <= p.most; n++ {
		b.WriteString(g.texts[n])
		if n == p.most {
			break // 255 of them would begin anew
		}
	}
	return b.String(), b.Len() <= maxInboxText
}

// forget drops the message that waits longest for its parts.
func (j *joiner) forget() {
	var oldest whole
	var at purchase.Instant
	for key, g := range j.parts {
		if at == 0 || g.at < at {
			oldest, at = key, g.at
		}
	}
	delete(j.parts, oldest)
}
