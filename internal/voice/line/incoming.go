package line

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"tenu/internal/purchase"
	"tenu/internal/voice/media"
)

// invite takes a new call, or a new offer in the middle of one.
func (l *Line) invite(trunk *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	if to := req.To(); to != nil && to.Params.Has("tag") {
		l.offer(req, tx)
		return
	}
	if trunk == nil { // the other end of a call of ours, which is nobody's trunk
		l.counts.forbidden.Add(1)
		l.respond(req, tx, 403, "Forbidden")
		return
	}
	if required := req.GetHeader("Require"); required != nil && !strings.EqualFold(strings.TrimSpace(required.Value()), "timer") {
		l.respond(req, tx, 420, "Bad Extension", sip.NewHeader("Unsupported", required.Value()))
		return
	}
	s, ok := asked(req)
	if !ok {
		l.respond(req, tx, statusTooSmall, "Session Interval Too Small", sip.NewHeader("Min-SE", strconv.Itoa(minSession)))
		return
	}
	if !l.enter() {
		l.refuse(req, tx)
		return
	}
	defer l.over.Done()
	l.counts.offered.Add(1)
	n := l.open.Add(1)
	defer l.open.Add(-1)
	serve := l.cfg.Serve
	switch {
	case n > int64(l.cfg.Capacity+l.cfg.Overflow):
		l.counts.refused.Add(1)
		l.cfg.Refused()
		l.refuse(req, tx)
		return
	case n > int64(l.cfg.Capacity):
		l.counts.overloaded.Add(1)
		serve = l.cfg.Overload
	}
	l.take(trunk, req, tx, s, serve)
}

// refuse says when to try again.
func (l *Line) refuse(req *sip.Request, tx sip.ServerTransaction) {
	l.respond(req, tx, 503, "Service Unavailable", sip.NewHeader("Retry-After", strconv.Itoa(int(l.cfg.RetryAfter.Seconds()))))
}

// take answers a call and serves it.
func (l *Line) take(trunk *Trunk, req *sip.Request, tx sip.ServerTransaction, s session, serve func(context.Context, *Call)) {
	req = req.Clone() // the transaction repeats what it was given
	if to := req.To(); to != nil {
		to.Params.Add("tag", rand.Text())
	}
	d, err := l.taken(trunk, req)
	if err != nil {
		l.respond(req, tx, 400, "Bad Request")
		return
	}
	stream, err := l.cfg.Media.Open()
	if err != nil {
		l.cfg.Log.Error("a call finds no port", "error", err)
		l.refuse(req, tx)
		return
	}
	ours := len(req.Body()) == 0
	var sdp []byte
	if ours { // the answer comes with the ACK
		sdp = stream.Offer()
	} else if sdp, err = stream.Answer(req.Body()); err != nil {
		stream.Close()
		l.respond(req, tx, 488, "Not Acceptable Here", warning(err))
		return
	}
	c := l.begin(d, stream, s)
	c.Caller, c.answering = l.caller(trunk, req), ours
	if err := c.deliver(req, tx, sdp); err != nil {
		c.end(err)
	} else {
		l.counts.answered.Add(1)
	}
	go c.run()
	if c.Err() == nil {
		serve(c.ctx, c)
	}
	c.HangUp()
	<-c.ended
}

// deliver answers an INVITE with a description, again and again until the answer is acknowledged
// (RFC 3261, section 13.3.1.4). An error says that it never was.
func (c *Call) deliver(req *sip.Request, tx sip.ServerTransaction, sdp []byte) error {
	acked := make(chan struct{})
	number := req.CSeq().SeqNo
	c.mu.Lock()
	c.acks[number] = acked
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.acks, number)
	}()
	answer := sip.NewSDPResponseFromRequest(req, sdp)
	answer.AppendHeader(c.line.contact(c.dialog.transport))
	c.session.Load().mark(answer)
	for pause := sip.T1; ; pause = min(2*pause, sip.T2) {
		if err := tx.Respond(answer); errors.Is(err, sip.ErrTransactionCanceled) {
			return ErrHungUp
		} else if err != nil {
			return fmt.Errorf("%w: %w", errNoACK, err)
		}
		select {
		case <-acked:
			return nil
		case <-c.Done():
			return c.Err()
		case <-tx.Done(): // after 64 T1
			return errNoACK
		case <-c.line.cfg.Clock.After(pause):
		}
	}
}

// ack takes that an answer of ours has arrived.
func (l *Line) ack(req *sip.Request, _ sip.ServerTransaction) {
	c, number := l.call(req), req.CSeq()
	if c == nil || number == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	acked, waits := c.acks[number.SeqNo]
	if !waits {
		return
	}
	delete(c.acks, number.SeqNo)
	if c.answering {
		c.answering = false
		if err := c.stream.Answered(req.Body()); err != nil {
			c.end(fmt.Errorf("the answer in the ACK: %w", err))
		}
	}
	close(acked)
}

// offer answers a new offer in the middle of a call: hold, another address.
func (l *Line) offer(req *sip.Request, tx sip.ServerTransaction) {
	c := l.refreshed(req, tx)
	if c == nil {
		return
	}
	sdp := c.stream.Offer()
	c.mu.Lock()
	c.answering = len(req.Body()) == 0
	c.mu.Unlock()
	if len(req.Body()) > 0 {
		var err error
		if sdp, err = c.stream.Answer(req.Body()); err != nil {
			l.respond(req, tx, 488, "Not Acceptable Here", warning(err))
			return
		}
	}
	if err := c.deliver(req, tx, sdp); err != nil {
		c.end(err)
	}
}

// update answers an UPDATE, which keeps a session alive (RFC 3311, RFC 4028).
func (l *Line) update(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	c := l.refreshed(req, tx)
	if c == nil {
		return
	}
	answer := sip.NewResponseFromRequest(req, 200, "OK", nil)
	if len(req.Body()) > 0 {
		sdp, err := c.stream.Answer(req.Body())
		if err != nil {
			l.respond(req, tx, 488, "Not Acceptable Here", warning(err))
			return
		}
		answer = sip.NewSDPResponseFromRequest(req, sdp)
	}
	answer.AppendHeader(l.contact(c.dialog.transport))
	c.session.Load().mark(answer)
	l.send(answer, tx)
}

// refreshed is the call that a request refreshes, or nil when it was refused.
func (l *Line) refreshed(req *sip.Request, tx sip.ServerTransaction) *Call {
	c := l.call(req)
	if c == nil {
		l.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return nil
	}
	s, ok := asked(req)
	if !ok {
		l.respond(req, tx, statusTooSmall, "Session Interval Too Small", sip.NewHeader("Min-SE", strconv.Itoa(minSession)))
		return nil
	}
	if !c.dialog.fresh(req) {
		l.respond(req, tx, 500, "Server Internal Error", sip.NewHeader("Retry-After", "1"))
		return nil
	}
	c.dialog.moved(req.Contact())
	c.alive(s)
	return c
}

func (l *Line) bye(_ *Trunk, req *sip.Request, tx sip.ServerTransaction) {
	c := l.call(req)
	if c == nil {
		l.respond(req, tx, 481, "Call/Transaction Does Not Exist")
		return
	}
	if !c.dialog.fresh(req) {
		l.respond(req, tx, 500, "Server Internal Error")
		return
	}
	c.end(ErrHungUp)
	l.respond(req, tx, 200, "OK")
}

// warning says what of a description cannot be used (RFC 3261, section 20.43).
func warning(err error) sip.Header {
	code := 399
	if errors.Is(err, media.ErrCodec) {
		code = 305
	}
	return sip.NewHeader("Warning", fmt.Sprintf("%d tenu %q", code, err.Error()))
}

// caller is the number that a trunk vouches for, or 0.
func (l *Line) caller(trunk *Trunk, req *sip.Request) purchase.MSISDN {
	if privacy := req.GetHeader("Privacy"); !trunk.Asserts || privacy != nil && strings.Contains(strings.ToLower(privacy.Value()), "id") {
		return 0
	}
	for _, h := range req.GetHeaders("P-Asserted-Identity") {
		for each := range strings.SplitSeq(unnamed(h.Value()), ",") {
			if number, ok := l.number(each); ok {
				return number
			}
		}
	}
	return 0
}

// unnamed is a header without what is in quotes: names are what people call themselves, and
// may look like an identity.
func unnamed(list string) string {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case quoted && list[i] == '\\':
			i++
		case list[i] == '"':
			quoted = !quoted
		case !quoted:
			b.WriteByte(list[i])
		}
	}
	return b.String()
}

// number is that of an identity: <sip:+22670112233@host;user=phone>, <tel:+22670112233>.
func (l *Line) number(identity string) (purchase.MSISDN, bool) {
	if _, rest, is := strings.Cut(identity, "<"); is {
		identity, _, _ = strings.Cut(rest, ">")
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(identity), ":")
	switch strings.ToLower(scheme) {
	case "sip", "sips":
		rest, _, _ = strings.Cut(rest, "@")
	case "tel":
	default:
		return 0, false
	}
	rest, _, _ = strings.Cut(rest, ";")
	return l.cfg.Number(rest)
}
