package line

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"tenu/internal/voice/media"
)

// Outgoing is a call to make.
type Outgoing struct {
	Trunk    string // its name; empty where To is a whole address that is called directly
	To       string // what is called: the user at the trunk, or an address as sip:agent@host
	Language string // that the call begins in; empty for the line's
	// Within is how long it may take until it is answered.
	Within time.Duration
	// Unrecorded says that the call is not to be recorded by whoever is called.
	Unrecorded bool
	// Ringing, when it is not nil, is called once when the telephone rings.
	Ringing func()
}

// Reasons why a call is not even tried.
var (
	errAddress = errors.New("nobody can be called by that")
	errTrunk   = errors.New("no trunk of that name takes calls")
	errFull    = errors.New("as many calls are being made as may be")
)

// attempt is a call that is being made.
type attempt struct {
	line    *Line
	trunk   *Trunk // nil: past all of them
	stream  *media.Stream
	req     *sip.Request
	tx      sip.ClientTransaction
	heard   bool // an answer of any kind
	rang    bool
	proofs  int
	release func()
}

// Dial makes a call and returns it when it was answered. An error is a *Failure, and nobody was spoken
// to: also an answer that came too late was hung up. A call that ends because ctx does, or the line, is Cancelled.
func (l *Line) Dial(ctx context.Context, o Outgoing) (*Call, error) {
	if !l.enter() {
		return nil, &Failure{Why: Cancelled, Cause: errClosing}
	}
	if l.dialled.Add(1) > int64(l.cfg.Capacity) {
		l.dialled.Add(-1)
		l.over.Done()
		return nil, &Failure{Why: Unreachable, Cause: errFull}
	}
	a := &attempt{line: l, release: func() { l.dialled.Add(-1); l.over.Done() }}
	if failure := a.begin(ctx, o); failure != nil {
		a.release()
		return nil, failure
	}
	l.counts.dialled.Add(1)
	res, failure := a.wait(ctx, o)
	if failure != nil {
		a.stream.Close()
		if failure.Code != 0 || failure.Cause != nil && errors.Is(failure.Cause, errSilent) {
			a.release()
		} else {
			go a.abandon()
		}
		return nil, failure
	}
	return a.answered(res, o)
}

// begin sends the INVITE as soon as the line listens.
func (a *attempt) begin(ctx context.Context, o Outgoing) *Failure {
	select {
	case <-a.line.ready:
	case <-ctx.Done():
		return cancelled(ctx)
	case <-a.line.closing:
		return &Failure{Why: Cancelled, Cause: errClosing}
	}
	if err := a.send(ctx, o); err != nil {
		return &Failure{Why: Unreachable, Cause: err}
	}
	return nil
}

func (a *attempt) send(ctx context.Context, o Outgoing) (err error) {
	l := a.line
	var to sip.Uri
	var at string
	if to, at, err = a.whom(o); err != nil {
		return err
	}
	transport := "UDP"
	if a.trunk != nil && a.trunk.Transport == "tcp" || a.trunk == nil && strings.EqualFold(to.UriParams.GetOr("transport", ""), "tcp") {
		transport = "TCP"
	}
	peer, err := l.reach(ctx, at, transport)
	if err != nil {
		return err
	}
	release := a.release
	a.release = func() { l.leavePeer(peer.Addr()); release() }
	if a.stream, err = l.cfg.Media.Open(); err != nil {
		return err
	}
	a.req = l.message(sip.INVITE, to, to, transport)
	a.req.SetDestination(peer.String())
	a.req.AppendHeader(sip.NewHeader("P-Asserted-Identity", "<sip:"+l.cfg.Identity+"@"+l.host()+">"))
	a.req.AppendHeader(sip.NewHeader("Allow", methods))
	a.req.AppendHeader(sip.NewHeader("Supported", "timer"))
	a.req.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(minSession)))
	session{seconds: ourSession}.ask(a.req, "")
	a.req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	if o.Unrecorded {
		a.stream.Unrecord()
	}
	a.req.SetBody(a.stream.Offer())
	if a.tx, err = l.client.TransactionRequest(ctx, a.req, sipgo.ClientRequestAddVia); err != nil {
		a.stream.Close()
	}
	return unsent(err)
}

// whom finds what is called and where the call goes.
func (a *attempt) whom(o Outgoing) (to sip.Uri, at string, err error) {
	for i := range a.line.cfg.Trunks {
		if t := &a.line.cfg.Trunks[i]; t.Name == o.Trunk && t.Address != "" {
			a.trunk = t
		}
	}
	if a.trunk == nil && o.Trunk != "" {
		return to, "", fmt.Errorf("%w: %.64q", errTrunk, o.Trunk)
	}
	if scheme, _, _ := strings.Cut(o.To, ":"); scheme == "sip" {
		if err := sip.ParseUri(o.To, &to); err != nil || to.Host == "" || strings.ContainsAny(o.To, "\r\n\x00<>") {
			return to, "", fmt.Errorf("%w: an address that cannot be read", errAddress)
		}
		to.Headers = nil // they would be headers of ours
		if a.trunk == nil {
			return to, to.HostPort(), nil
		}
		return to, a.trunk.Address, nil
	}
	if a.trunk == nil || o.To == "" || strings.Trim(o.To, userPart) != "" {
		return to, "", fmt.Errorf("%w: no number and no user", errAddress)
	}
	host, port, err := sip.ParseAddr(a.trunk.Address)
	if err != nil {
		return to, "", fmt.Errorf("%w: %w", errTrunk, err)
	}
	return sip.Uri{Scheme: "sip", User: o.To, Host: host, Port: port}, a.trunk.Address, nil
}

// userPart are the characters of whom a trunk can call.
const userPart = "0123456789+*-._abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// message is a request outside of a dialog.
func (l *Line) message(method sip.RequestMethod, recipient, to sip.Uri, transport string) *sip.Request {
	req := sip.NewRequest(method, recipient)
	to.UriParams, to.Headers = nil, nil
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: l.cfg.Identity, Host: l.host()}}
	from.Params.Add("tag", rand.Text())
	id, hops := sip.CallIDHeader(rand.Text()), sip.MaxForwardsHeader(70)
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: to})
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: method})
	req.AppendHeader(&hops)
	req.AppendHeader(l.contact(transport))
	l.leave(req, transport)
	return req
}

// reach finds an address, from which something is taken from now on until leavePeer.
func (l *Line) reach(ctx context.Context, at, transport string) (netip.AddrPort, error) {
	host, port, err := sip.ParseAddr(at)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %w", errAddress, err)
	}
	if port == 0 {
		port = sip.DefaultPort(transport)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", strings.Trim(host, "[]"))
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%w: %w", errAddress, err)
	}
	for _, each := range found { // of our own kind
		if each = each.Unmap(); each.Is4() == l.cfg.Address.Addr().Unmap().Is4() && port <= 1<<16-1 {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.peers[each]++
			return netip.AddrPortFrom(each, uint16(port)), nil //nolint:gosec // checked above
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%w: nothing is at its address", errAddress)
}

// leavePeer gives back what reach took.
func (l *Line) leavePeer(address netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[address]--; l.peers[address] == 0 {
		delete(l.peers, address)
	}
}

// wait waits until the call is answered, or is not to be waited for any more.
func (a *attempt) wait(ctx context.Context, o Outgoing) (*sip.Response, *Failure) {
	late := a.line.cfg.Clock.After(o.Within)
	for {
		select {
		case res := <-a.tx.Responses():
			if a.progress(res, o.Ringing); res.IsProvisional() {
				continue
			}
			if res.IsSuccess() {
				return res, nil
			}
			if again, err := a.again(ctx, res); err != nil {
				return nil, &Failure{Why: Unreachable, Code: res.StatusCode, Cause: err}
			} else if !again {
				return nil, failed(res, a.rang)
			}
		case <-a.tx.Done():
			return nil, &Failure{Why: Unreachable, Cause: errors.Join(errSilent, a.tx.Err())}
		case <-late:
			if a.heard {
				return nil, &Failure{Why: NoAnswer}
			}
			return nil, &Failure{Why: Unreachable}
		case <-ctx.Done():
			return nil, cancelled(ctx)
		case <-a.line.closing:
			return nil, &Failure{Why: Cancelled, Cause: errClosing}
		}
	}
}

// progress takes that something was heard of the call. Sound before the answer is not listened to.
func (a *attempt) progress(res *sip.Response, ringing func()) {
	a.heard = true
	if rings := res.StatusCode == sip.StatusRinging || res.StatusCode == sip.StatusSessionInProgress; !rings || a.rang {
		return
	}
	a.rang = true
	if ringing != nil {
		ringing()
	}
}

// again sends the INVITE again where it lacked something that we can say.
func (a *attempt) again(ctx context.Context, res *sip.Response) (bool, error) {
	if a.proofs == maxProofs {
		return false, nil
	}
	a.proofs++
	var err error
	if challenged(res, a.trunk) {
		a.tx, a.req, err = a.line.prove(ctx, a.req, res, a.trunk)
		return err == nil, err
	}
	least, _ := strconv.Atoi(strings.TrimSpace(value(res, "Min-SE"))) // 0: it does not say
	if res.StatusCode != statusTooSmall || least < minSession || least > maxSession {
		return false, nil
	}
	a.req = a.req.Clone()
	a.req.CSeq().SeqNo++
	a.req.RemoveHeader("Via")
	session{seconds: max(least, ourSession)}.ask(a.req, "")
	a.tx, err = a.line.client.TransactionRequest(ctx, a.req, sipgo.ClientRequestAddVia)
	return err == nil, unsent(err)
}

// answered makes a call of the answer.
func (a *attempt) answered(res *sip.Response, o Outgoing) (*Call, error) {
	l := a.line
	d, err := a.acknowledge(res)
	if err != nil {
		a.stream.Close()
		a.release()
		return nil, &Failure{Why: Unreachable, Code: res.StatusCode, Cause: err}
	}
	if err := a.stream.Answered(res.Body()); err != nil {
		a.stream.Close()
		go func() { defer a.release(); l.decline(d) }()
		return nil, &Failure{Why: Unreachable, Code: sip.StatusNotAcceptableHere, Cause: err}
	}
	c := l.begin(d, a.stream, granted(res))
	c.forgotten = a.release
	if o.Language != "" {
		c.Language = o.Language
	}
	l.counts.reached.Add(1)
	go c.run()
	return c, nil
}

// acknowledge says that an answer has arrived, now and each time that it comes again.
func (a *attempt) acknowledge(res *sip.Response) (*dialog, error) {
	l := a.line
	d, err := l.made(a.trunk, a.req, res)
	if err != nil {
		return nil, err
	}
	number := a.req.CSeq().SeqNo
	a.tx.OnRetransmission(func(again *sip.Response) {
		other, err := l.made(a.trunk, a.req, again)
		if err == nil {
			err = l.client.WriteRequest(other.ack(number), sipgo.ClientRequestAddVia)
		}
		if err != nil {
			l.cfg.Log.Debug("an ACK did not leave", "error", err)
			return
		}
		if other.id != d.id && l.enter() { // somebody else has answered as well
			go func() { defer l.over.Done(); l.decline(other) }()
		}
	})
	return d, l.client.WriteRequest(d.ack(number), sipgo.ClientRequestAddVia)
}

// asIs leaves a request as it is.
func asIs(*sipgo.Client, *sip.Request) error { return nil }

// decline hangs up a call that nobody waits for.
func (l *Line) decline(d *dialog) {
	ctx, cancel := context.WithTimeout(context.Background(), byeWithin)
	defer cancel()
	if err := d.bye(ctx); err != nil {
		l.cfg.Log.Debug("a BYE was not answered", "error", err)
	}
}

// abandon takes back a call that is not waited for any more: it is cancelled as soon as that
// may be (RFC 3261, section 9.1), and hung up if it is answered all the same.
func (a *attempt) abandon() {
	defer a.release()
	enough, closing := a.line.cfg.Clock.After(64*sip.T1), a.line.closing
	for cancelled := false; ; {
		if a.heard && !cancelled {
			cancelled = true
			a.line.over.Go(a.cancel)
		}
		select {
		case res := <-a.tx.Responses():
			if a.heard = true; res.IsProvisional() {
				continue
			}
			if res.IsSuccess() {
				if d, err := a.acknowledge(res); err == nil {
					a.line.decline(d)
				}
			}
			return
		case <-a.tx.Done():
			return
		case <-enough:
			a.tx.Terminate()
			return
		case <-closing:
			if !a.heard { // and so may not be cancelled
				a.tx.Terminate()
				return
			}
			closing = nil
		}
	}
}

// cancel sends a CANCEL of the INVITE.
func (a *attempt) cancel() {
	l := a.line
	ctx, cancel := context.WithTimeout(context.Background(), byeWithin)
	defer cancel()
	req := sip.NewRequest(sip.CANCEL, a.req.Recipient)
	hops := sip.MaxForwardsHeader(70)
	for _, h := range []sip.Header{a.req.Via(), a.req.From(), a.req.To(), a.req.CallID()} {
		req.AppendHeader(sip.HeaderClone(h))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: a.req.CSeq().SeqNo, MethodName: sip.CANCEL})
	req.AppendHeader(&hops)
	req.SetBody(nil)
	req.SetDestination(a.req.Destination())
	l.leave(req, a.req.Transport())
	tx, err := l.client.TransactionRequest(ctx, req, asIs)
	if err == nil {
		_, err = final(ctx, tx)
	}
	if err != nil {
		l.cfg.Log.Debug("a CANCEL was not answered", "error", err)
	}
}
