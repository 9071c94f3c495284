package line

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Why says why a call of ours was not answered.
type Why uint8

// The reasons. Nobody was spoken to.
const (
	Unreachable Why = iota // no such number, its telephone is off, or the network failed
	Busy
	NoAnswer // it rang, or was about to, until the time was over
	Declined // the person or the network does not want it
	Cancelled
)

func (w Why) String() string {
	switch w {
	case Unreachable:
		return "unreachable"
	case Busy:
		return "busy"
	case NoAnswer:
		return "no answer"
	case Declined:
		return "declined"
	case Cancelled:
		return "cancelled"
	}
	return strconv.Itoa(int(w))
}

// Failure is why a call of ours was not answered.
type Failure struct {
	Why   Why
	Code  int // of the final answer (RFC 3261, section 21), 0 when there was none
	Cause error
	// Theirs says that the network told why, of that telephone: others may be reached, whatever the code.
	Theirs bool
}

func (f *Failure) Error() string {
	text := "not answered: " + f.Why.String()
	if f.Code != 0 {
		text += " (" + strconv.Itoa(f.Code) + ")"
	}
	if f.Cause != nil {
		text += ": " + f.Cause.Error()
	}
	return text
}

// Unwrap returns the error behind the failure, if there is one.
func (f *Failure) Unwrap() error { return f.Cause }

// errSilent: no answer came at all.
var errSilent = errors.New("nobody answered the request")

// failed is the failure of a call whose final answer this is.
func failed(res *sip.Response, rang bool) *Failure {
	f := &Failure{Why: Unreachable, Code: res.StatusCode}
	for _, h := range res.GetHeaders("Reason") {
		for each := range strings.SplitSeq(unnamed(h.Value()), ",") {
			if why, ok := byCause(each); ok {
				f.Why, f.Theirs = why, true
				return f
			}
		}
	}
	switch res.StatusCode {
	case sip.StatusBusyHere, sip.StatusGlobalBusyEverywhere:
		f.Why = Busy
	case sip.StatusRequestTimeout:
		f.Why = NoAnswer
	case sip.StatusTemporarilyUnavailable, sip.StatusRequestTerminated:
		if rang {
			f.Why = NoAnswer
		}
	case sip.StatusGlobalDecline, sip.StatusForbidden:
		f.Why = Declined
	}
	return f
}

// byCause reads the cause that the telephone network gave (RFC 3326, ITU-T Q.850), which
// is closer to the telephone than the code that a gateway made of it.
func byCause(reason string) (Why, bool) {
	protocol, rest, _ := strings.Cut(reason, ";")
	if !strings.EqualFold(strings.TrimSpace(protocol), "Q.850") {
		return 0, false
	}
	for each := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(each), "=")
		if !strings.EqualFold(name, "cause") {
			continue
		}
		switch value {
		case "17":
			return Busy, true
		case "18", "19":
			return NoAnswer, true
		case "21":
			return Declined, true
		case "1", "2", "3", "20", "22", "27", "28":
			return Unreachable, true
		}
	}
	return 0, false
}

// cancelled is the failure of a call that somebody here gave up.
func cancelled(ctx context.Context) *Failure {
	return &Failure{Why: Cancelled, Cause: fmt.Errorf("given up: %w", context.Cause(ctx))}
}
