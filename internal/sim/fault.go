package sim

import "fmt"

// Fault is something that goes wrong, or is made to.
type Fault uint8

// The faults. Those of calls are drawn anew for each call of a partner.
const (
	// The request is lost on its way: not applied, not reported.
	RequestLost Fault = iota + 1
	// NoConnection: certainly not sent.
	NoConnection
	// ReplyLost: applied, not reported.
	ReplyLost
	// LateExecution: applied later, not reported, within the lateness bound where there is one.
	LateExecution
	// Accepted: acknowledged, executed later, told by a callback.
	Accepted
	// Dropped: acknowledged, and never executed.
	Dropped
	// RefusedOnce: refused, though another try would be executed.
	RefusedOnce
	// ServerError: a 5xx, applied or not, and repeated for the same key (w14).
	ServerError
	// Garbage: an unreadable answer, applied or not.
	Garbage
	// Conflict: "key already used" (w11), applied or not.
	Conflict
	// WrongAmount: executed with another amount, and said so.
	WrongAmount
	// WrongAccount: executed for another number, and said so.
	WrongAccount
	// WrongProduct: executed with another product, and said so.
	WrongProduct
	// Doubled: the network delivered the request twice.
	Doubled
	// NoReference: executed, told without a reference.
	NoReference
	// LieDone: said to be done, not executed.
	LieDone
	// LieRefused: said to be refused, executed.
	LieRefused
	// LieAbsent: a query says that there is no trace, though it was executed.
	LieAbsent
	// QueryLost: a query or cancellation without an answer.
	QueryLost
	// CancelUnheard: a cancellation applied, not reported.
	CancelUnheard
	// EarlyRefusal: a query answers "refused" though the request is still on its way (w9).
	EarlyRefusal

	// News that partners bring by themselves.
	CallbackLost
	CallbackTwice
	CallbackEarly
	CallbackLate
	CallbackForged
	// UndoneLater: executed, and reversed by the partner later.
	UndoneLater

	// Processes.
	CrashBeforeCommit
	CrashAfterCommit
	CrashBeforeSend
	CrashAfterSend
	Drained
	Stopped
	ClockAhead
	ClockBehind
	ClockFrozen

	// The store.
	StoreUnavailable
	CutOff // one node alone does not reach it
	CommitLost
	CommitUnheard
	CommitLanding
	ReadFailed

	// The SMS centre.
	CentreDown
	MessageUnheard
	MessageRefused
	CrashInOutbox

	// Care: the process ends before or after a write of cases, requests or callbacks.
	CrashInCare
	// CrashInLog: the sequencer ends before or after a write of the log, and with it what it knew.
	CrashInLog

	// Telephones.
	PhonesDown   // the exchange is not reached
	DialFailed   // a call is not begun, and said not to be
	DialUnheard  // a call is begun, and said not to be
	AgentSilent  // an agent's phone is not answered
	OutcomeLost  // news of a call never comes
	OutcomeLate  // or comes when the call was given up
	OutcomeTwice // or comes again
	// CrashInDial: the process ends before or after an agent is claimed or let go, or a call begins.
	CrashInDial

	faultCount
)

var faultNames = [faultCount]string{
	RequestLost: "request_lost", NoConnection: "no_connection", ReplyLost: "reply_lost",
	LateExecution: "late_execution", Accepted: "accepted", Dropped: "dropped", RefusedOnce: "refused_once",
	ServerError: "server_error", Garbage: "garbage", Conflict: "conflict", WrongAmount: "wrong_amount",
	WrongAccount: "wrong_account", WrongProduct: "wrong_product", Doubled: "doubled",
	NoReference: "no_reference", LieDone: "lie_done", LieRefused: "lie_refused", LieAbsent: "lie_absent",
	QueryLost: "query_lost", CancelUnheard: "cancel_unheard", EarlyRefusal: "early_refusal",
	CallbackLost: "callback_lost", CallbackTwice: "callback_twice", CallbackEarly: "callback_early",
	CallbackLate: "callback_late", CallbackForged: "callback_forged", UndoneLater: "undone_later",
	CrashBeforeCommit: "crash_before_commit", CrashAfterCommit: "crash_after_commit",
	CrashBeforeSend: "crash_before_send", CrashAfterSend: "crash_after_send", Drained: "drained", Stopped: "stopped",
	ClockAhead: "clock_ahead", ClockBehind: "clock_behind", ClockFrozen: "clock_frozen",
	StoreUnavailable: "store_unavailable", CutOff: "cut_off", CommitLost: "commit_lost", CommitUnheard: "commit_unheard",
	CommitLanding: "commit_landing", ReadFailed: "read_failed",
	CentreDown: "centre_down", MessageUnheard: "message_unheard", MessageRefused: "message_refused",
	CrashInOutbox: "crash_in_outbox", CrashInCare: "crash_in_care",
	CrashInLog: "crash_in_log",
	PhonesDown: "phones_down", DialFailed: "dial_failed", DialUnheard: "dial_unheard", AgentSilent: "agent_silent",
	OutcomeLost: "outcome_lost", OutcomeLate: "outcome_late", OutcomeTwice: "outcome_twice", CrashInDial: "crash_in_dial",
}

// String is the fault's name on the command line and in reports.
func (f Fault) String() string { return faultNames[f] }

// Faults lists every fault.
func Faults() []Fault {
	all := make([]Fault, 0, faultCount-1)
	for f := RequestLost; f < faultCount; f++ {
		all = append(all, f)
	}
	return all
}

// ParseFault returns the fault of a name.
func ParseFault(name string) (Fault, error) {
	for _, f := range Faults() {
		if f.String() == name {
			return f, nil
		}
	}
	return 0, fmt.Errorf("no fault is called %q", name)
}

// faultSet is a set of faults as bits.
type faultSet uint64

func (s faultSet) has(f Fault) bool      { return s&(1<<f) != 0 }
func (s faultSet) with(f Fault) faultSet { return s | 1<<f }
