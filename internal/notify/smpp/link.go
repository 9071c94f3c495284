package smpp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/linxGnu/gosmpp/data"
	"github.com/linxGnu/gosmpp/pdu"
)

// Errors of a link.
var (
	errClosed   = errors.New("the bind is closed")
	errNotSent  = errors.New("not sent") // nothing of the PDU has left
	errTooLate  = errors.New("no answer in time")
	errRejected = errors.New("the centre rejects the bind")
)

// maxQueue bounds what was received and not yet answered. Beyond it the centre is
// asked to keep its messages for later.
const maxQueue = 256

// link is one bound connection. Its requests may be made by any goroutine; what
// the centre requests is answered in the order in which it came.
type link struct {
	conn   net.Conn
	window chan struct{} // one for each request that is not answered
	within time.Duration // for an answer, and for writing
	inbox  chan pdu.PDU

	mu      sync.Mutex
	waiting map[int32]chan pdu.PDU
	last    int32 // sequence number
	broken  error

	writing sync.Mutex
	ended   chan struct{} // closed when the link is broken
}

func newLink(conn net.Conn, window int, within time.Duration) *link {
	return &link{conn: conn, window: make(chan struct{}, window), within: within, inbox: make(chan pdu.PDU, maxQueue),
		waiting: map[int32]chan pdu.PDU{}, ended: make(chan struct{})}
}

// end breaks the link, once: requests that wait for an answer get none.
func (l *link) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return
	}
	l.broken = why
	close(l.ended)
	_ = l.conn.Close() // whatever was to be known of it is known
}

// why is what broke the link.
func (l *link) why() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// request sends a PDU and waits for its answer, within the window. An error that
// wraps errNotSent says that nothing has left; after any other it is not known
// what the centre did.
func (l *link) request(ctx context.Context, p pdu.PDU) (pdu.PDU, error) {
	select {
	case l.window <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNotSent, ctx.Err())
	case <-l.ended:
		return nil, fmt.Errorf("%w: %w", errNotSent, errClosed)
	}
	defer func() { <-l.window }()
	return l.ask(ctx, p)
}

// ask is request outside the window.
func (l *link) ask(ctx context.Context, p pdu.PDU) (pdu.PDU, error) {
	answer := make(chan pdu.PDU, 1)
	l.mu.Lock()
	if l.broken != nil {
		l.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", errNotSent, errClosed)
	}
	for { // section 5.1.4: from 1 to 0x7FFFFFFF
		if l.last++; l.last < 1 {
			l.last = 1
		}
		if _, taken := l.waiting[l.last]; !taken {
			break
		}
	}
	sequence := l.last
	l.waiting[sequence] = answer
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.waiting, sequence)
		l.mu.Unlock()
	}()

	p.SetSequenceNumber(sequence)
	if err := l.write(p); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, l.within)
	defer cancel()
	select {
	case got := <-answer:
		return got, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errTooLate, ctx.Err())
	case <-l.ended:
		select {
		case got := <-answer: // it came just before
			return got, nil
		default:
			return nil, errClosed
		}
	}
}

// write sends a PDU whole. After an error the link is broken.
func (l *link) write(p pdu.PDU) error {
	wire := bytesOf(p)
	l.writing.Lock()
	defer l.writing.Unlock()
	err := l.conn.SetWriteDeadline(time.Now().Add(l.within)) //nolint:forbidigo // of the system's, like all deadlines of connections
	n := 0
	if err == nil {
		n, err = l.conn.Write(wire)
	}
	if err == nil {
		return nil
	}
	l.end(fmt.Errorf("write: %w", err))
	if n == 0 {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	return fmt.Errorf("write: %w", err)
}

// read hands answers to those who wait for them and requests to the inbox, until
// the link is broken. A PDU that cannot be understood is refused, and no more.
func (l *link) read() {
	in := bufio.NewReader(l.conn)
	for {
		p, err := readPDU(in)
		var bad *badPDU
		switch {
		case errors.As(err, &bad):
			err = l.refuse(bad)
		case err == nil:
			err = l.take(p)
		}
		if err != nil {
			l.end(err)
			return
		}
	}
}

// refuse answers what cannot be understood with a generic_nack (section 4.3), and
// treats an answer that cannot be understood as one that says so itself.
func (l *link) refuse(bad *badPDU) error {
	if isAnswer(bad.header.CommandID) {
		nack, _ := pdu.NewGenericNack().(*pdu.GenericNack)
		nack.SetSequenceNumber(bad.header.SequenceNumber)
		l.answered(refusal{PDU: nack, header: bad.header})
		return nil
	}
	nack, _ := pdu.NewGenericNack().(*pdu.GenericNack)
	nack.CommandStatus = bad.status
	nack.SetSequenceNumber(bad.header.SequenceNumber)
	return l.write(nack)
}

// take sorts a PDU that was received.
func (l *link) take(p pdu.PDU) error {
	switch p.(type) {
	case *pdu.EnquireLink:
		return l.write(p.GetResponse())
	case *pdu.Unbind:
		_ = l.write(p.GetResponse()) // the end is the same
		return errors.New("the centre ended the bind")
	case *pdu.DeliverSM, *pdu.DataSM:
		select {
		case l.inbox <- p:
			return nil
		default:
			return l.write(respond(p, data.ESME_RMSGQFUL))
		}
	}
	if isAnswer(p.GetHeader().CommandID) {
		l.answered(p)
		return nil
	}
	if !p.CanResponse() {
		return nil // outbind, alert_notification: nothing is to be done
	}
	return l.refuse(&badPDU{header: p.GetHeader(), status: data.ESME_RINVBNDSTS})
}

// answered hands an answer to whoever waits for it. One that nobody waits for any
// more is dropped.
func (l *link) answered(p pdu.PDU) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if to, waits := l.waiting[p.GetSequenceNumber()]; waits {
		delete(l.waiting, p.GetSequenceNumber())
		to <- p // has room for the one
	}
}

// respond is the answer to a request of the centre's.
func respond(p pdu.PDU, status data.CommandStatusType) pdu.PDU {
	answer := p.GetResponse()
	switch a := answer.(type) {
	case *pdu.DeliverSMResp:
		a.CommandStatus = status
	case *pdu.DataSMResp:
		a.CommandStatus = status
	}
	return answer
}

// bind binds the connection in a role.
func (l *link) bind(ctx context.Context, as pdu.PDU) error {
	answer, err := l.ask(ctx, as)
	if err != nil {
		return err
	}
	if status := answer.GetHeader().CommandStatus; status != data.ESME_ROK {
		return fmt.Errorf("%w: %s", errRejected, status)
	}
	return nil
}

// keep asks whether the centre is there whenever nothing is under way for a while
// (enquire_link, section 4.11), and breaks the link when it is not.
func (l *link) keep(ctx context.Context, after func(time.Duration) <-chan time.Time, every time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.ended:
			return
		case <-after(every):
		}
		if _, err := l.ask(ctx, pdu.NewEnquireLink()); err != nil && ctx.Err() == nil {
			l.end(fmt.Errorf("enquire link: %w", err))
			return
		}
	}
}

// unbind ends the link in good order, as far as the centre lets it.
func (l *link) unbind() {
	_, _ = l.ask(context.Background(), pdu.NewUnbind()) // bounded by within
	l.end(errClosed)
}

// drain waits until what is under way is answered, or gives up on it.
func (l *link) drain() {
	for range cap(l.window) {
		select {
		case l.window <- struct{}{}:
		case <-l.ended:
			return
		case <-time.After(l.within): //nolint:forbidigo // of the system's, like the others
			return
		}
	}
}
