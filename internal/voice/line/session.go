package line

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Intervals of a session's refreshes, in seconds (RFC 4028).
const (
	minSession = 90   // the shortest that is taken (section 4)
	ourSession = 1800 // that we ask for
	maxSession = 1 << 20
)

// statusTooSmall is the answer to an interval that is too short (RFC 4028, section 6).
const statusTooSmall = 422

// session is how often a call is refreshed, so that neither end keeps one that the other has forgotten.
type session struct {
	seconds int  // 0: never
	ours    bool // we refresh it
}

// asked is the session that a request of the other end asks for (RFC 4028, section 9); ok is
// false when that is too often.
func asked(req *sip.Request) (s session, ok bool) {
	seconds, refresher := expires(req)
	if seconds == 0 {
		return session{}, true
	}
	able := false
	for _, name := range [...]string{"Supported", "k"} {
		for _, h := range req.GetHeaders(name) {
			able = able || strings.Contains(strings.ToLower(h.Value()), "timer")
		}
	}
	return session{seconds: seconds, ours: refresher == "uas" || refresher == "" && !able}, seconds >= minSession
}

// granted is the session that an answer to us grants (RFC 4028, section 7.2).
func granted(res *sip.Response) session {
	seconds, refresher := expires(res)
	return session{seconds: seconds, ours: refresher != "uas"}
}

// expires reads a Session-Expires header; what is not understood says nothing.
func expires(msg sip.Message) (seconds int, refresher string) {
	var value string
	for _, name := range [...]string{"Session-Expires", "x"} { // and its compact form
		if hs := msg.GetHeaders(name); len(hs) > 0 {
			value = hs[0].Value()
			break
		}
	}
	text, rest, _ := strings.Cut(value, ";")
	seconds, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || seconds < 1 || seconds > maxSession {
		return 0, ""
	}
	for each := range strings.SplitSeq(rest, ";") {
		if name, who, _ := strings.Cut(strings.TrimSpace(each), "="); strings.EqualFold(name, "refresher") {
			refresher = strings.ToLower(who)
		}
	}
	return seconds, refresher
}

// mark says in an answer who refreshes.
func (s session) mark(res *sip.Response) {
	switch {
	case s.seconds == 0:
	case s.ours:
		res.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(s.seconds)+";refresher=uas"))
	default:
		res.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(s.seconds)+";refresher=uac"))
		res.AppendHeader(sip.NewHeader("Require", "timer"))
	}
	res.AppendHeader(sip.NewHeader("Allow", methods))
	res.AppendHeader(sip.NewHeader("Supported", "timer"))
}

// ask says in a request of ours how often it is to be refreshed.
func (s session) ask(req *sip.Request, refresher string) {
	req.RemoveHeader("Session-Expires")
	req.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(s.seconds)+refresher))
}

// half is when the side that refreshes does it.
func (s session) half() time.Duration { return time.Duration(s.seconds) * time.Second / 2 }

// patience is when a side that is not refreshed gives up (RFC 4028, section 10).
func (s session) patience() time.Duration {
	return time.Duration(s.seconds-min(32, s.seconds/3)) * time.Second
}
