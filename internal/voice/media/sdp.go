// Package media carries the sound of calls: RTP over UDP (RFC 3550) with G.711 in
// packets of 20 ms (RFC 3551), and keys as telephone events (RFC 4733). It knows
// nothing of what is said, or of how calls are made.
package media

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"tenu/internal/voice/sound"
)

// Errors of what the other end offers.
var (
	// ErrSDP: the description cannot be understood, or says nothing of sound over UDP.
	ErrSDP = errors.New("unusable session description")
	// ErrCodec: neither G.711 law is offered.
	ErrCodec = errors.New("no G.711 offered")
)

// maxSDP bounds a description, in bytes.
const maxSDP = 16 << 10

// Session is what both ends agreed on (RFC 3264).
type Session struct {
	Peer netip.AddrPort // where packets go to, and whose they are
	Law  sound.Law
	Keys uint8 // the payload type of telephone events; 0 for none
	Hold bool  // the other end wants to hear nothing for now
}

// keysOffered is the payload type that we offer for telephone events.
const keysOffered = 101

// Read is the session that an offer or an answer makes possible. prefer, when it is
// offered at all, is the law; otherwise the first one.
func Read(body []byte, prefer *sound.Law) (Session, error) {
	var s Session
	if len(body) > maxSDP {
		return s, fmt.Errorf("%w: %d bytes", ErrSDP, len(body))
	}
	var d sdp.SessionDescription
	if err := d.Unmarshal(body); err != nil {
		return s, fmt.Errorf("%w: %w", ErrSDP, err)
	}
	at := slices.IndexFunc(d.MediaDescriptions, func(m *sdp.MediaDescription) bool {
		return m.MediaName.Media == "audio" && m.MediaName.Port.Value > 0 && strings.Join(m.MediaName.Protos, "/") == "RTP/AVP"
	})
	if at < 0 {
		return s, fmt.Errorf("%w: no audio over RTP/AVP", ErrSDP)
	}
	m := d.MediaDescriptions[at]
	where := m.ConnectionInformation
	if where == nil {
		where = d.ConnectionInformation
	}
	if where == nil || where.Address == nil {
		return s, fmt.Errorf("%w: no address", ErrSDP)
	}
	ip, err := netip.ParseAddr(where.Address.Address)
	if err != nil || m.MediaName.Port.Value > 1<<16-1 || ip.IsMulticast() {
		return s, fmt.Errorf("%w: address %.64q", ErrSDP, where.Address.Address)
	}
	s.Peer = netip.AddrPortFrom(ip, uint16(m.MediaName.Port.Value)) //nolint:gosec // checked above
	s.Hold = held(&d, m) || ip.IsUnspecified()
	return s, s.codecs(m, prefer)
}

// codecs chooses the law and the payload type of keys.
func (s *Session) codecs(m *sdp.MediaDescription, prefer *sound.Law) error {
	laws := map[uint64]sound.Law{uint64(sound.MuLaw): sound.MuLaw, uint64(sound.ALaw): sound.ALaw}
	for _, a := range m.Attributes {
		if a.Key != "rtpmap" {
			continue
		}
		number, name, _ := strings.Cut(a.Value, " ")
		payload, err := strconv.ParseUint(number, 10, 7)
		if err == nil && payload >= 96 && strings.EqualFold(name, "telephone-event/8000") {
			s.Keys = uint8(payload)
		}
	}
	found := false
	for _, format := range m.MediaName.Formats {
		payload, err := strconv.ParseUint(format, 10, 7)
		law, known := laws[payload]
		if err != nil || !known {
			continue
		}
		if !found || prefer != nil && law == *prefer {
			s.Law, found = law, true
		}
	}
	if !found {
		return ErrCodec
	}
	return nil
}

// held reports whether the other end does not want to hear anything.
func held(d *sdp.SessionDescription, m *sdp.MediaDescription) bool {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case "sendonly", "inactive":
				return true
			case "recvonly", "sendrecv":
				return false
			}
		}
	}
	return false
}

// Describe is our side: where we listen, and what we speak: the agreed session, or with nil
// all that we offer. id names the call's media, version counts its descriptions.
func Describe(local netip.AddrPort, id, version uint64, agreed *Session) []byte {
	family := "IP4"
	if local.Addr().Is6() && !local.Addr().Is4In6() {
		family = "IP6"
	}
	address := local.Addr().Unmap().String()
	formats, keys, direction := []string{"8", "0"}, uint8(keysOffered), "sendrecv"
	if agreed != nil {
		formats, keys = []string{strconv.Itoa(int(agreed.Law))}, agreed.Keys
		if agreed.Hold {
			direction = "recvonly"
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=0\r\no=tenu %d %d IN %s %s\r\ns=tenu\r\nc=IN %s %s\r\nt=0 0\r\n", id, version, family, address, family, address)
	if keys != 0 {
		formats = append(formats, strconv.Itoa(int(keys)))
	}
	fmt.Fprintf(&b, "m=audio %d RTP/AVP %s\r\n", local.Port(), strings.Join(formats, " "))
	for _, f := range formats {
		switch f {
		case "0":
			b.WriteString("a=rtpmap:0 PCMU/8000\r\n")
		case "8":
			b.WriteString("a=rtpmap:8 PCMA/8000\r\n")
		default:
			fmt.Fprintf(&b, "a=rtpmap:%s telephone-event/8000\r\na=fmtp:%s 0-15\r\n", f, f)
		}
	}
	fmt.Fprintf(&b, "a=ptime:20\r\na=%s\r\n", direction)
	return []byte(b.String())
}
