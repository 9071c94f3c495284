// Package storetest is the conformance suite of a purchase.Store: whoever keeps
// purchases passes it. It must know nothing of how a store works. It is
// imported by tests only.
package storetest

import (
	"context"
	"testing"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/evidence"
	"tenu/internal/evidence/audit"
	"tenu/internal/hook"
	"tenu/internal/incident"
	"tenu/internal/notify"
	"tenu/internal/purchase"
	"tenu/internal/reconcile"
	"tenu/internal/status"
	"tenu/internal/store"
	"tenu/internal/voice/centre"
)

// Subject is a fresh, empty store under test.
type Subject struct {
	purchase.Store
	// Again opens the same store once more, as another process would.
	Again func(testing.TB) purchase.Store
}

// Run checks everything that package purchase asks of a store. open gives each
// test a store of its own and cleans up after it.
func Run(t *testing.T, open func(testing.TB) Subject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"CommitWritesInOrder", commitWritesInOrder},
		{"CommitOfNothing", commitOfNothing},
		{"StaleChangesLeaveNoTrace", staleChangesLeaveNoTrace},
		{"CommitTwice", commitTwice},
		{"CommitTakesAnyText", commitTakesAnyText},
		{"FencedLeaseWritesNothing", fencedLeaseWritesNothing},
		{"ClientKeyIsUnique", clientKeyIsUnique},
		{"ClientKeyIsUniqueInABatch", clientKeyIsUniqueInABatch},
		{"RepeatIsHeldBack", repeatIsHeldBack},
		{"RepeatIsHeldBackInABatch", repeatIsHeldBackInABatch},
		{"RepeatLeavesItsKeyFree", repeatLeavesItsKeyFree},
		{"ReplayIsNoRepeat", replayIsNoRepeat},
		{"LoadReturnsEveryField", loadReturnsEveryField},
		{"LoadOrdersAndSkips", loadOrdersAndSkips},
		{"LoadOpenPages", loadOpenPages},
		{"ListPages", listPages},
		{"ReserveNeverRepeats", reserveNeverRepeats},
		{"LeasesCount", leasesCount},
		{"TakeoverMovesOpenPurchases", takeoverMovesOpenPurchases},
		{"TakeoverSparesTheRenewed", takeoverSparesTheRenewed},
		{"TakeoverAgainstCommits", takeoverAgainstCommits},
		{"ParkedWaitForTheOwner", parkedWaitForTheOwner},
		{"SameAsMemory", sameAsMemory},
		{"CommittersCompete", committersCompete},
		{"LeavesFollowVerdicts", leavesFollowVerdicts},
		{"LogGrowsOnce", logGrowsOnce},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// Database is what a database adds to a store.
type Database interface {
	purchase.Store
	UnsentNotices(ctx context.Context, limit int) ([]purchase.Notice, error)
	NewestUnsent(ctx context.Context) (purchase.Instant, error)
	Standing(ctx context.Context, epoch int64) (oldest, alone bool, err error)
	MarkSent(ctx context.Context, notices []purchase.Notice, at purchase.Instant) error
	CustomerSide
	auth.StaffStore
	evidence.Store
	evidence.Finder
	audit.Database
	care.ExternalStore
	hook.Store
	IncidentEvents() hook.Store
	incident.Store
	incident.TallyStore
	AffectedStates(ctx context.Context, id incident.ID, after purchase.ID, limit int) ([]store.AffectedState, error)
	notify.DeliveryStore
	reconcile.Store
	status.Subscriptions
	centre.Store
	Deliveries(ctx context.Context, messages ...string) ([]notify.Delivery, error)
	Begun(ctx context.Context, since purchase.Instant, numbers ...purchase.MSISDN) (map[purchase.MSISDN][]purchase.ID, error)
	Tidy(ctx context.Context, now purchase.Instant) error
	Secret(ctx context.Context, fresh []byte) ([]byte, error)
	Verify(ctx context.Context, v store.Verification) ([]store.Violation, error)
}

// DatabaseSubject is a fresh, empty database under test.
type DatabaseSubject struct {
	Database
	// Letters are the messages of its cases and callbacks.
	Letters notify.Store
	// Again opens the same database once more, as another process would.
	Again func(testing.TB) Database
	// Execute runs a statement behind the store's back.
	Execute func(t testing.TB, statement string)
}

// RunDatabase checks what a database adds: outbox, secret and verification.
func RunDatabase(t *testing.T, open func(testing.TB) DatabaseSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, DatabaseSubject)
	}{
		{"CommitRejectsNonsense", commitRejectsNonsense},
		{"OutboxOldestFirst", outboxOldestFirst},
		{"OldestLeaseStandsFirst", oldestLeaseStandsFirst},
		{"DeliveriesMerge", deliveriesMerge},
		{"ReportsOnce", reportsOnce},
		{"CallbacksFillWindows", callbacksFillWindows},
		{"CasesAreWrittenWhole", casesAreWrittenWhole},
		{"CasesChangeOnce", casesChangeOnce},
		{"CasesCloseOnProof", casesCloseOnProof},
		{"OpeningsAreTaken", openingsAreTaken},
		{"CasesComeDue", casesComeDue},
		{"QueuesPage", queuesPage},
		{"QueuesCountSoFar", queuesCountSoFar},
		{"RequestsAreWrittenWhole", requestsAreWrittenWhole},
		{"RequestsOnce", requestsOnce},
		{"LimitsHold", limitsHold},
		{"RequestsAreDecidedOnce", requestsAreDecidedOnce},
		{"RolesAreThoseOfNow", rolesAreThoseOfNow},
		{"CallbacksAreWrittenWhole", callbacksAreWrittenWhole},
		{"CallbacksChangeOnce", callbacksChangeOnce},
		{"CallbacksComeDue", callbacksComeDue},
		{"WaitsAreSummedUp", waitsAreSummedUp},
		{"RulesHaveVersions", rulesHaveVersions},
		{"TreatmentsKeepBudgets", treatmentsKeepBudgets},
		{"LooksAreKept", looksAreKept},
		{"MacrosHaveVersions", macrosHaveVersions},
		{"AttachmentsAreBounded", attachmentsAreBounded},
		{"PlansCloseOnce", plansCloseOnce},
		{"FiguresAddUp", figuresAddUp},
		{"OthersSeeWhatChanged", othersSeeWhatChanged},
		{"LettersGoOut", lettersGoOut},
		{"CodesAreCounted", codesAreCounted},
		{"CheckoutsMoveOnce", checkoutsMoveOnce},
		{"CustomersChoose", customersChoose},
		{"SessionsEnd", sessionsEnd},
		{"CasesAreCalled", casesAreCalled},
		{"CasesAreSifted", casesAreSifted},
		{"ListenersAreBounded", listenersAreBounded},
		{"EveryEntryIsTold", everyEntryIsTold},
		{"SecretNeverChanges", secretNeverChanges},
		{"VerifyPassesWhatTheTableMakes", verifyPassesWhatTheTableMakes},
		{"VerifyFindsWhatIsPlanted", verifyFindsWhatIsPlanted},
		{"VerifyWhileOthersWrite", verifyWhileOthersWrite},
		{"CallbacksEndWaits", callbacksEndWaits},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	RunCentre(t, func(t testing.TB) CentreSubject {
		s := open(t)
		return CentreSubject{Store: s, Again: func(t testing.TB) centre.Store { return s.Again(t) }}
	})
	runStaff(t, open)
	runStatements(t, open)
	runIncidents(t, open)
}

// runIncidents checks the records of what fails.
func runIncidents(t *testing.T, open func(testing.TB) DatabaseSubject) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, DatabaseSubject)
	}{
		{"PausesAreWrittenWhole", pausesAreWrittenWhole},
		{"PausesChangeOnce", pausesChangeOnce},
		{"SubscriptionsAreKept", subscriptionsAreKept},
		{"SubscriptionsAreBounded", subscriptionsAreBounded},
		{"IncidentsAreWrittenWhole", incidentsAreWrittenWhole},
		{"EveryIncidentEntryIsTold", everyIncidentEntryIsTold},
		{"IncidentsOpenOnce", incidentsOpenOnce},
		{"IncidentsCloseSettled", incidentsCloseSettled},
		{"IncidentTotalsAddUp", incidentTotalsAddUp},
		{"IncidentCoursesAgree", incidentCoursesAgree},
		{"RefusalsAddUp", refusalsAddUp},
		{"SalesAreTold", salesAreTold},
		{"AffectedAreLinked", affectedAreLinked},
		{"AffectIsBounded", affectIsBounded},
		{"AffectedStatesPage", affectedStatesPage},
		{"CasesAreLinked", casesAreLinked},
		{"CustomersAreToldOnce", customersAreToldOnce},
		{"AffectRemembers", affectRemembers},
		{"CustomersAreToldAgain", customersAreToldAgain},
		{"TalliesAreExchanged", talliesAreExchanged},
		{"HoldsAreKept", holdsAreKept},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
	t.Run("LogIsWhole", func(t *testing.T) { logIsWhole(t, open(t)) })
}
