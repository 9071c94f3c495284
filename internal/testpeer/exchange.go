package testpeer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/pion/rtp"
)

// Exchange is a telephone exchange with its telephones: SIP over UDP, A-law, and keys as telephone
// events. It vouches for the numbers of those who call.
type Exchange struct {
	t      testing.TB
	at     netip.AddrPort
	ua     sipgo.DialogUA
	server *sipgo.Server

	mu     sync.Mutex
	phones map[string]func(*Ring)
	rang   map[string][]time.Time
	talks  map[string]*Talk // by the dialog's ID
}

// NewExchange starts an exchange that ends with the test.
func NewExchange(t testing.TB) *Exchange {
	t.Helper()
	packets, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	x := &Exchange{t: t, at: netip.MustParseAddrPort(packets.LocalAddr().String()), phones: map[string]func(*Ring){},
		rang: map[string][]time.Time{}, talks: map[string]*Talk{}}
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("exchange"))
	if err != nil {
		t.Fatal(err)
	}
	x.server, err = sipgo.NewServer(agent)
	if err != nil {
		t.Fatal(err)
	}
	client, err := sipgo.NewClient(agent, sipgo.WithClientHostname("127.0.0.1"), sipgo.WithClientConnectionAddr(x.at.String()))
	if err != nil {
		t.Fatal(err)
	}
	x.ua = sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "exchange", Host: "127.0.0.1", Port: int(x.at.Port())}}}
	x.server.OnInvite(x.invite)
	x.server.OnAck(func(req *sip.Request, tx sip.ServerTransaction) {
		if talk := x.talk(sip.DialogIDFromRequestUAS(req)); talk != nil && talk.callee != nil {
			_ = talk.callee.ReadAck(req, tx)
		}
	})
	x.server.OnBye(x.bye)
	x.server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 200, "OK", nil))
	})
	served := make(chan struct{})
	go func() { defer close(served); _ = x.server.ServeUDP(packets) }()
	t.Cleanup(func() {
		x.mu.Lock()
		for _, talk := range x.talks {
			_ = talk.sound.Close()
		}
		x.mu.Unlock()
		_ = agent.Close()
		_ = packets.Close()
		<-served
	})
	return x
}

// Address is where the exchange listens.
func (x *Exchange) Address() netip.AddrPort { return x.at }

// Telephone puts a telephone at a number, or another in its place. ring is called when it rings,
// in a goroutine of its own; nil: it rings and nobody is there.
func (x *Exchange) Telephone(number string, ring func(*Ring)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.phones[number] = ring
}

// Rang is when a number's telephone rang.
func (x *Exchange) Rang(number string) []time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]time.Time(nil), x.rang[number]...)
}

// Ring is a telephone that rings.
type Ring struct {
	x      *Exchange
	dialog *sipgo.DialogServerSession
	offer  []byte
	over   <-chan struct{}
}

// Refuse answers by a code of SIP: 486 busy, 603 declined, 480 unreachable.
func (r *Ring) Refuse(code int, headers ...sip.Header) {
	_ = r.dialog.Respond(code, "No", nil, headers...)
}

// Over is closed when it rings no more.
func (r *Ring) Over() <-chan struct{} { return r.over }

// Answer takes the receiver up.
func (r *Ring) Answer() (*Talk, error) {
	talk, err := r.x.open()
	if err != nil {
		return nil, err
	}
	talk.callee, talk.offer = r.dialog, string(r.offer)
	talk.mu.Lock() // it breathes already
	talk.to, err = heardAt(r.offer)
	talk.mu.Unlock()
	if err != nil {
		return nil, errors.Join(err, talk.sound.Close())
	}
	r.x.keep(r.dialog.ID, talk)
	if err := r.dialog.RespondSDP(talk.sdp()); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return talk, nil
}

func (x *Exchange) invite(req *sip.Request, tx sip.ServerTransaction) {
	number := req.Recipient.User
	x.mu.Lock()
	ring, there := x.phones[number]
	x.rang[number] = append(x.rang[number], time.Now())
	x.mu.Unlock()
	if !there {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 404, "Not Found", nil))
		return
	}
	dialog, err := x.ua.ReadInvite(req, tx)
	if err != nil {
		_ = tx.Respond(sip.NewResponseFromRequest(req, 400, "Bad Request", nil))
		return
	}
	_ = dialog.Respond(180, "Ringing", nil)
	if ring != nil {
		ring(&Ring{x, dialog, req.Body(), dialog.Context().Done()})
	}
	<-dialog.Context().Done()
}

// Call calls an address as somebody whose number the exchange vouches for; "" as nobody. A call that is
// not answered is an error; a refusal wraps *sipgo.ErrDialogResponse.
func (x *Exchange) Call(ctx context.Context, to netip.AddrPort, number string) (*Talk, error) {
	talk, err := x.open()
	if err != nil {
		return nil, err
	}
	headers := []sip.Header{sip.NewHeader("Content-Type", "application/sdp")}
	if number != "" {
		headers = append(headers, sip.NewHeader("P-Asserted-Identity", "<sip:"+number+"@"+x.at.String()+">"))
	}
	talk.caller, err = x.ua.Invite(ctx, sip.Uri{Scheme: "sip", User: "121", Host: to.Addr().String(), Port: int(to.Port())}, talk.sdp(), headers...)
	if err == nil {
		err = talk.caller.WaitAnswer(ctx, sipgo.AnswerOptions{})
	}
	if err == nil {
		x.keep(talk.caller.ID, talk)
		err = talk.caller.Ack(ctx)
	}
	if err == nil {
		talk.mu.Lock()
		talk.to, err = heardAt(talk.caller.InviteResponse.Body())
		talk.mu.Unlock()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("call %s: %w", to, err), talk.sound.Close())
	}
	return talk, nil
}

func (x *Exchange) keep(id string, talk *Talk) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.talks[id] = talk
}

func (x *Exchange) talk(id string, err error) *Talk {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		return nil
	}
	return x.talks[id]
}

func (x *Exchange) bye(req *sip.Request, tx sip.ServerTransaction) {
	talk := x.talk(sip.DialogIDFromRequestUAS(req))
	if talk == nil {
		talk = x.talk(sip.DialogIDFromRequestUAC(req))
	}
	switch {
	case talk == nil:
		_ = tx.Respond(sip.NewResponseFromRequest(req, 481, "No Such Call", nil))
		return
	case talk.callee != nil:
		_ = talk.callee.ReadBye(req, tx)
	default:
		_ = talk.caller.ReadBye(req, tx)
	}
	talk.end()
}

// Talk is one end of a call.
type Talk struct {
	sound  *net.UDPConn
	caller *sipgo.DialogClientSession
	callee *sipgo.DialogServerSession
	offer  string
	over   chan struct{}
	once   sync.Once

	mu     sync.Mutex
	to     netip.AddrPort
	header rtp.Header
	heard  []byte
	more   chan struct{} // closed when more was heard
}

func (x *Exchange) open() (*Talk, error) {
	sound, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("open a receiver: %w", err)
	}
	t := &Talk{sound: sound, over: make(chan struct{}), more: make(chan struct{}), header: rtp.Header{Version: 2, SSRC: 7}}
	go t.listen()
	go t.breathe()
	return t, nil
}

func (t *Talk) sdp() []byte {
	at := netip.MustParseAddrPort(t.sound.LocalAddr().String())
	return fmt.Appendf(nil, "v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio %[2]d RTP/AVP 8 101\r\n"+
		"a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n", at.Addr(), at.Port())
}

// heardAt is where a session's description wants sound.
func heardAt(sdp []byte) (netip.AddrPort, error) {
	host, port := "", ""
	for line := range strings.Lines(string(sdp)) {
		if rest, is := strings.CutPrefix(line, "c=IN IP4 "); is {
			host = strings.TrimSpace(rest)
		}
		if rest, is := strings.CutPrefix(line, "m=audio "); is {
			port, _, _ = strings.Cut(rest, " ")
		}
	}
	return netip.ParseAddrPort(net.JoinHostPort(host, port))
}

// Offer is the session's description that whoever called came with; "" where it is the exchange that called.
func (t *Talk) Offer() string { return t.offer }

// listen keeps what is heard.
func (t *Talk) listen() {
	data := make([]byte, 1500)
	for {
		n, err := t.sound.Read(data)
		if err != nil {
			return
		}
		var p rtp.Packet
		if p.Unmarshal(data[:n]) != nil || p.PayloadType != 8 {
			continue
		}
		t.mu.Lock()
		t.heard = append(t.heard, p.Payload...)
		close(t.more)
		t.more = make(chan struct{})
		t.mu.Unlock()
	}
}

// breathe sends the room's silence, so that the other end knows that somebody is there.
func (t *Talk) breathe() {
	room := bytes.Repeat([]byte{0xd5}, 160)
	for {
		select {
		case <-t.over:
			return
		case <-time.After(time.Second):
			t.Speak(room)
		}
	}
}

// Speak sends sound, packet after packet, in its pace where it is longer than one.
func (t *Talk) Speak(alaw []byte) {
	for len(alaw) > 0 {
		n := min(160, len(alaw))
		t.send(8, alaw[:n], 160)
		if alaw = alaw[n:]; len(alaw) > 0 {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func (t *Talk) send(kind uint8, payload []byte, samples uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.header.PayloadType = kind
	data, err := (&rtp.Packet{Header: t.header, Payload: payload}).Marshal()
	t.header.SequenceNumber++
	t.header.Timestamp += samples
	if err == nil && t.to.IsValid() {
		_, _ = t.sound.WriteToUDPAddrPort(data, t.to)
	}
}

// events are the keys in the order of their codes (RFC 4733, section 3.2).
const events = "0123456789*#ABCD"

// Press presses keys.
func (t *Talk) Press(keys string) {
	for _, key := range []byte(keys) {
		event := bytes.IndexByte([]byte(events), key)
		for range 3 { // the end of an event is sent three times
			t.send(101, []byte{byte(event), 0x8a, 3, 32}, 0) //nolint:gosec // of 16
		}
		t.mu.Lock()
		t.header.Timestamp += 1600
		t.mu.Unlock()
	}
}

// Hear waits until a sound was heard after what Hear found before, and reports whether it was in time, and before the call was over.
func (t *Talk) Hear(want []byte, within time.Duration) bool {
	late := time.After(within)
	for over := false; ; {
		t.mu.Lock()
		if i := bytes.Index(t.heard, want); i >= 0 {
			t.heard = t.heard[i+len(want):]
			t.mu.Unlock()
			return true
		}
		more := t.more
		t.mu.Unlock()
		if over {
			return false
		}
		select {
		case <-more:
		case <-t.over:
			over = true
		case <-late:
			return false
		}
	}
}

// HangUp ends the call.
func (t *Talk) HangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if t.callee != nil {
		_ = t.callee.Bye(ctx)
	} else {
		_ = t.caller.Bye(ctx)
	}
	t.end()
}

// Over is closed when the call is over.
func (t *Talk) Over() <-chan struct{} { return t.over }

func (t *Talk) end() {
	t.once.Do(func() {
		close(t.over)
		_ = t.sound.Close()
	})
}
