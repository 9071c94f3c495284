package sim

import (
	"slices"

	"tenu/internal/purchase"
)

// Reachable lists the states in which a fault can meet a purchase other than by a
// rare race (an answer that is under way while a callback closes the purchase). A
// simulation of a million purchases meets each of these pairs a hundred times.
func Reachable(f Fault) []purchase.State {
	asked := []purchase.State{purchase.Charging, purchase.Crediting, purchase.Refunding}
	watched := append(slices.Clone(asked), purchase.Refunded, purchase.Declined)
	told := []purchase.State{purchase.Credited, purchase.Refunding, purchase.Refunded, purchase.Declined}
	switch f {
	case RequestLost, NoConnection, ReplyLost, LateExecution, Accepted, Dropped, RefusedOnce, ServerError, Conflict,
		WrongAmount, WrongAccount, WrongProduct, Doubled, NoReference, LieDone, LieRefused:
		return asked
	case Garbage, LieAbsent, QueryLost, EarlyRefusal: // also of queries, while late evidence is looked for
		return watched
	case CancelUnheard: // of legs that "no" would settle
		return asked[:2]
	case CallbackLost, CallbackTwice, CallbackEarly, CallbackLate, CallbackForged: // of whatever is executed late, too
		return purchase.States
	case UndoneLater: // of what was executed
		return []purchase.State{purchase.Crediting, purchase.Credited, purchase.Refunding, purchase.Refunded}
	case CrashInCare, CrashInDial, PhonesDown, DialFailed, DialUnheard, AgentSilent, OutcomeLost, OutcomeLate, OutcomeTwice: // only where there is care
	case CrashInLog: // meets no purchase
	case CrashBeforeCommit, CrashAfterCommit, CrashBeforeSend, CrashAfterSend, Drained, Stopped, CrashInOutbox: // what a node holds open
		return append(slices.Clone(asked), purchase.Refunded)
	case ClockAhead, ClockBehind, ClockFrozen:
		return asked
	case StoreUnavailable, CutOff, CommitLost, CommitUnheard, CommitLanding:
		return asked
	case ReadFailed: // of what a commit left in doubt, and of late news
		return []purchase.State{purchase.Charging, purchase.Credited, purchase.Refunded}
	case CentreDown, MessageUnheard, MessageRefused: // there is something to tell
		return told
	case faultCount:
	}
	return nil
}

// Thin lists the reachable pairs of fault and state, and of wish and state, the
// answers to reversals, and the matters of cases, that were met fewer times than least.
func (t *Tally) Thin(least int) (pairs []string) {
	for _, f := range Faults() {
		for _, s := range Reachable(f) {
			if t.Coverage[f][s] < least {
				pairs = append(pairs, f.String()+" in "+s.String())
			}
		}
	}
	for _, kind := range []purchase.Kind{purchase.Done, purchase.Refused, purchase.Pending, purchase.Unknown, purchase.Cancelled} {
		if t.Reversals[kind] < least {
			pairs = append(pairs, "reversal "+kind.String())
		}
	}
	for i, matter := range purchase.Matters {
		if t.Matters[i] < least {
			pairs = append(pairs, "case "+string(matter))
		}
	}
	for _, wish := range purchase.Wishes {
		for _, s := range purchase.States {
			if t.Wishes[wish][s] < least {
				pairs = append(pairs, "wish for "+wish.String()+" in "+s.String())
			}
		}
	}
	return pairs
}
