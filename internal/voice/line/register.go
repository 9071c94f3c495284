package line

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Times of a registration.
const (
	registerFor = 10 * time.Minute // that we ask for
	leastFor    = 30 * time.Second // what a trunk may say of how long it lasts is taken within these
	mostFor     = time.Hour
	firstRetry  = time.Second // after a failure, and twice as long after each further one
	lastRetry   = time.Minute
)

// Registered says of each trunk that is to know where we are whether it does.
func (l *Line) Registered() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.registered)
}

// registration tells a trunk where we are.
type registration struct {
	line   *Line
	trunk  *Trunk
	callID string
	number uint32        // the last CSeq
	lasts  time.Duration // that is asked for
}

// register keeps a trunk told until the line closes, and then takes it back.
func (l *Line) register(t *Trunk) {
	r := &registration{line: l, trunk: t, callID: rand.Text(), lasts: registerFor}
	retry := firstRetry
	select {
	case <-l.ready:
	case <-l.closing:
		return
	}
	for {
		lasts, err := r.tell(r.lasts)
		l.note(t, err == nil)
		next := lasts - lasts/4 // before it is over
		if err != nil {
			l.cfg.Log.Warn("a trunk does not take where we are", "trunk", t.Name, "error", err)
			next, retry = retry, min(2*retry, lastRetry)
		} else {
			retry = firstRetry
		}
		select {
		case <-l.cfg.Clock.After(next):
			continue
		case <-l.closing:
		}
		if err == nil {
			_, err = r.tell(0)
		}
		l.note(t, false)
		l.cfg.Log.Debug("a trunk no longer knows where we are", "trunk", t.Name, "error", err)
		return
	}
}

func (l *Line) note(t *Trunk, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registered[t.Name] = is
}

// tell sends one registration, 0 takes it back, and returns how long it lasts.
func (r *registration) tell(lasts time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), byeWithin)
	defer cancel()
	for range 2 { // once more when it is to last longer
		res, err := r.send(ctx, lasts)
		switch {
		case err != nil:
			return 0, err
		case res.IsSuccess():
			return r.granted(res), nil
		case res.StatusCode != sip.StatusIntervalToBrief:
			return 0, fmt.Errorf("the registration: %d %s", res.StatusCode, res.Reason)
		}
		least, err := strconv.Atoi(strings.TrimSpace(value(res, "Min-Expires")))
		if err != nil || least < 1 || least > int(24*time.Hour/time.Second) {
			return 0, errors.New("the registration is to last longer, but not how long")
		}
		lasts = time.Duration(least) * time.Second
		r.lasts = lasts
	}
	return 0, errors.New("the registration never lasts long enough")
}

func (r *registration) send(ctx context.Context, lasts time.Duration) (*sip.Response, error) {
	l, t := r.line, r.trunk
	transport := "UDP"
	if t.Transport == "tcp" {
		transport = "TCP"
	}
	host, port, err := sip.ParseAddr(t.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAddress, err)
	}
	peer, err := l.reach(ctx, t.Address, transport)
	if err != nil {
		return nil, err
	}
	defer l.leavePeer(peer.Addr())
	req := l.message(sip.REGISTER, sip.Uri{Scheme: "sip", Host: host, Port: port}, sip.Uri{Scheme: "sip", User: t.User, Host: host}, transport)
	req.From().Address.User, req.From().Address.Host = t.User, host
	id := sip.CallIDHeader(r.callID)
	req.ReplaceHeader(&id)
	r.number++
	req.CSeq().SeqNo = r.number
	req.AppendHeader(sip.NewHeader("Expires", strconv.Itoa(int(lasts.Seconds()))))
	req.SetDestination(peer.String())
	req.SetBody(nil)
	res, last, err := l.ask(ctx, req, t)
	r.number = max(r.number, last.CSeq().SeqNo)
	return res, err
}

// granted is how long the trunk says that a registration lasts.
func (r *registration) granted(res *sip.Response) time.Duration {
	lasts, ours := r.lasts, r.line.contact("UDP").Address
	text := value(res, "Expires")
	for _, h := range res.GetHeaders("Contact") {
		if c, is := h.(*sip.ContactHeader); is && c.Address.Host == ours.Host && c.Address.Port == ours.Port {
			text = c.Params.GetOr("expires", text)
		}
	}
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && seconds > 0 && seconds < int(mostFor/time.Second) {
		lasts = time.Duration(seconds) * time.Second
	}
	return min(max(lasts, leastFor), mostFor)
}

// value is what a header says, or nothing.
func value(msg sip.Message, name string) string {
	if hs := msg.GetHeaders(name); len(hs) > 0 {
		return hs[0].Value()
	}
	return ""
}
