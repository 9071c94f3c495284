package line

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// dialog is a SIP dialog (RFC 3261, section 12) of a call in either direction: what requests
// in it are made of. It is safe for concurrent use.
type dialog struct {
	line      *Line
	trunk     *Trunk // nil: the call goes past all of them
	id        string
	local     sip.FromHeader // of our requests
	remote    sip.ToHeader
	callID    sip.CallIDHeader
	transport string
	peer      string // host:port that the other end was heard from
	route     []string

	mu     sync.Mutex
	target sip.Uri
	sent   uint32 // the last CSeq of our requests
	heard  uint32 // of theirs
}

// errDialog: a message lacks what a dialog is made of.
var errDialog = errors.New("no dialog can be made of the message")

// taken is the dialog of a call that came in, whose To has our tag already.
func (l *Line) taken(trunk *Trunk, req *sip.Request) (*dialog, error) {
	d := &dialog{line: l, trunk: trunk, transport: req.Transport(), peer: req.Source()}
	from, to, id, contact, number := req.From(), req.To(), req.CallID(), req.Contact(), req.CSeq()
	if from == nil || to == nil || id == nil || contact == nil || number == nil || contact.Address.Host == "" {
		return nil, errDialog
	}
	d.remote, d.local, d.callID = from.AsTo(), to.AsFrom(), *id
	d.target, d.heard = *contact.Address.Clone(), number.SeqNo
	for _, h := range req.GetHeaders("Record-Route") {
		d.route = append(d.route, h.Value())
	}
	d.name()
	return d, nil
}

// made is the dialog of a call of ours that was answered.
func (l *Line) made(trunk *Trunk, req *sip.Request, res *sip.Response) (*dialog, error) {
	from, to := req.From(), res.To()
	if from == nil || to == nil {
		return nil, errDialog
	}
	d := &dialog{line: l, trunk: trunk, transport: req.Transport(), peer: res.Source(), local: *from, remote: *to, callID: *req.CallID(),
		target: *req.Recipient.Clone(), sent: req.CSeq().SeqNo}
	if contact := res.Contact(); contact != nil && contact.Address.Host != "" {
		d.target = *contact.Address.Clone()
	}
	for _, h := range res.GetHeaders("Record-Route") {
		d.route = append([]string{h.Value()}, d.route...)
	}
	d.name()
	return d, nil
}

// name finds the dialog's identity: as sip.DialogIDFromRequestUAS reads it from the requests of the other end.
func (d *dialog) name() {
	ours, _ := d.local.Params.Get("tag")
	theirs, _ := d.remote.Params.Get("tag")
	d.id = sip.DialogIDMake(d.callID.Value(), ours, theirs)
}

// fresh takes the number of a request of the other end, and reports whether it is in order.
func (d *dialog) fresh(req *sip.Request) bool {
	number := req.CSeq()
	d.mu.Lock()
	defer d.mu.Unlock()
	if number == nil || number.SeqNo <= d.heard {
		return false
	}
	d.heard = number.SeqNo
	return true
}

// moved takes where the other end wants requests from now on (RFC 3261, section 12.2.2).
func (d *dialog) moved(contact *sip.ContactHeader) {
	if contact == nil || contact.Address.Host == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = *contact.Address.Clone()
}

// request is the next request of ours.
func (d *dialog) request(method sip.RequestMethod) *sip.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent++
	return d.build(method, d.sent)
}

// ack acknowledges that a call of ours was answered, a number of ours.
func (d *dialog) ack(number uint32) *sip.Request {
	d.mu.Lock()
	defer d.mu.Unlock()
	req := d.build(sip.ACK, number)
	req.SetBody(nil)
	return req
}

func (d *dialog) build(method sip.RequestMethod, number uint32) *sip.Request {
	req := sip.NewRequest(method, d.target)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(sip.HeaderClone(&d.local))
	req.AppendHeader(sip.HeaderClone(&d.remote))
	req.AppendHeader(sip.HeaderClone(&d.callID))
	req.AppendHeader(&sip.CSeqHeader{SeqNo: number, MethodName: method})
	req.AppendHeader(&hops)
	for _, r := range d.route {
		req.AppendHeader(sip.NewHeader("Route", r))
	}
	req.AppendHeader(d.line.contact(d.transport))
	if len(d.route) == 0 { // what it says of itself may be of a network that is not ours
		req.SetDestination(d.peer)
	}
	d.line.leave(req, d.transport)
	return req
}

// ask sends a request of the dialog and waits for its final answer. It returns the request as it was sent last.
func (d *dialog) ask(ctx context.Context, req *sip.Request) (*sip.Response, *sip.Request, error) {
	req.SetBody(req.Body()) // with its length
	res, last, err := d.line.ask(ctx, req, d.trunk)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sent = max(d.sent, last.CSeq().SeqNo)
	return res, last, err
}

// bye ends the dialog.
func (d *dialog) bye(ctx context.Context) error {
	res, _, err := d.ask(ctx, d.request(sip.BYE))
	if err == nil && !res.IsSuccess() && res.StatusCode != 481 {
		err = sipgo.ErrDialogResponse{Res: res}
	}
	return err
}

// contact is where the other end reaches us.
func (l *Line) contact(transport string) *sip.ContactHeader {
	c := &sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: l.cfg.Identity, Host: l.host(), Port: int(l.cfg.Address.Port())}}
	if sip.IsReliable(transport) {
		c.Address.UriParams.Add("transport", sip.NetworkToLower(transport))
	}
	return c
}

// leave says over what a request leaves: over UDP from the port that we listen on.
func (l *Line) leave(req *sip.Request, transport string) {
	req.SetTransport(transport)
	if !sip.IsReliable(transport) {
		req.Laddr = sip.Addr{IP: l.cfg.Address.Addr().AsSlice(), Port: int(l.cfg.Address.Port()), Hostname: l.cfg.Address.Addr().String()}
	}
}

// maxProofs is how often we prove who we are for one request: the second is for a nonce that was too old.
const maxProofs = 2

// ask sends a request and waits for its final answer, and proves to the trunk who we are when it asks
// for that. It returns the request as it was sent last.
func (l *Line) ask(ctx context.Context, req *sip.Request, trunk *Trunk) (*sip.Response, *sip.Request, error) {
	tx, err := l.client.TransactionRequest(ctx, req, sipgo.ClientRequestAddVia)
	for proofs := 0; err == nil; proofs++ {
		var res *sip.Response
		if res, err = final(ctx, tx); err != nil || proofs == maxProofs || !challenged(res, trunk) {
			return res, req, err
		}
		tx, req, err = l.prove(ctx, req, res, trunk)
	}
	return nil, req, unsent(err)
}

// errUnsent: a request did not leave.
var errUnsent = errors.New("the request was not sent")

// unsent is an error of the library without what it tells of the request, which has people's numbers.
func unsent(err error) error {
	if err == nil {
		return nil
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return fmt.Errorf("%w: %w", errUnsent, op)
	}
	return errUnsent
}

// final waits for the final answer of a transaction that is not of an INVITE that may have to be cancelled.
func final(ctx context.Context, tx sip.ClientTransaction) (*sip.Response, error) {
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil // and the transaction waits for repetitions on its own
			}
		case <-tx.Done():
			return nil, errors.Join(errSilent, tx.Err())
		case <-ctx.Done():
			tx.Terminate()
			return nil, context.Cause(ctx)
		}
	}
}

// challenged reports whether an answer asks who we are, and we can say it.
func challenged(res *sip.Response, trunk *Trunk) bool {
	return trunk != nil && trunk.Password != "" &&
		(res.StatusCode == sip.StatusUnauthorized && res.GetHeader("WWW-Authenticate") != nil ||
			res.StatusCode == sip.StatusProxyAuthRequired && res.GetHeader("Proxy-Authenticate") != nil)
}

// prove sends a request again with the proof that an answer asks for (RFC 3261, section 22).
func (l *Line) prove(ctx context.Context, req *sip.Request, res *sip.Response, trunk *Trunk) (sip.ClientTransaction, *sip.Request, error) {
	req = req.Clone() // the first one is still repeated as it was
	tx, err := l.client.TransactionDigestAuth(ctx, req, res, sipgo.DigestAuth{Username: trunk.User, Password: trunk.Password})
	return tx, req, unsent(err)
}
