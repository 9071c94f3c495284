package load

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"tenu/internal/voice/media"
	"tenu/internal/voice/sound"
)

// Times of a call.
const (
	answerIn = 40 * time.Second // longer than SIP itself waits
	hangUpIn = 10 * time.Second
)

// call is one telephone's call.
type call struct {
	*ear
	dialog *sipgo.DialogClientSession
	done   sync.WaitGroup
	over   chan struct{}
	left   atomic.Bool // the line hung up
}

// one makes a call and keeps it on.
func (c *Callers) one(ctx context.Context) error {
	e, err := c.ear()
	if err != nil {
		return err
	}
	on := &call{ear: e, over: make(chan struct{})}
	to, err := on.dial(ctx, c)
	if err != nil {
		_ = e.socket.Close() // nothing is kept in it
		return err
	}
	c.mu.Lock()
	c.calls[on.dialog.InviteRequest.CallID().Value()] = on
	c.mu.Unlock()
	on.done.Go(on.listen)
	on.done.Go(func() { on.talk(to) })
	return nil
}

// dial returns where the line listens.
func (on *call) dial(ctx context.Context, c *Callers) (netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	to := sip.Uri{Scheme: "sip", User: "121", Host: c.cfg.Line.Addr().String(), Port: int(c.cfg.Line.Port())}
	body := media.Describe(on.at(), 1, 1, &media.Session{Law: sound.ALaw, Keys: 101})
	var err error
	if on.dialog, err = c.ua.Invite(ctx, to, body, sip.NewHeader("Content-Type", "application/sdp")); err != nil {
		return netip.AddrPort{}, err
	}
	if err := on.dialog.WaitAnswer(ctx, sipgo.AnswerOptions{}); err != nil {
		return netip.AddrPort{}, err
	}
	if err := on.dialog.Ack(ctx); err != nil {
		return netip.AddrPort{}, err
	}
	session, err := media.Read(on.dialog.InviteResponse.Body(), nil)
	return session.Peer, err
}

// talk sends sound until the call is over.
func (on *call) talk(to netip.AddrPort) {
	packet := make([]byte, headerSize+frameSize)
	packet[0], packet[1] = 0x80, byte(sound.ALaw)
	binary.BigEndian.PutUint32(packet[8:], uint32(to.Port()))
	for i := headerSize; i < len(packet); i++ {
		packet[i] = byte(i)
	}
	next := on.clock.Now()
	for n := uint32(0); ; n++ {
		next = next.Add(frame)
		select {
		case <-on.clock.After(next.Sub(on.clock.Now())):
		case <-on.over:
			return
		}
		binary.BigEndian.PutUint16(packet[2:], uint16(n))
		binary.BigEndian.PutUint32(packet[4:], n*frameSize)
		_, _ = on.socket.WriteToUDPAddrPort(packet, to) // as lossy as the network
	}
}

func (on *call) hangUp(ctx context.Context) {
	if !on.left.Load() {
		ctx, cancel := context.WithTimeout(ctx, hangUpIn)
		defer cancel()
		_ = on.dialog.Bye(ctx) // the line ends a call that is silent on its own
	}
	close(on.over)
	_ = on.socket.Close() // nothing is kept in it
	on.done.Wait()
}
