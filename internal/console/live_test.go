package console

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/staff"
)

// looking is a browser's stream.
type looking struct {
	t      testing.TB
	status int
	events chan string // "changed", "presence …"; closed with the stream
	stop   func()
}

// watch opens a stream as somebody.
func (r *rig) watch(login, what string) *looking {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	q := must[*http.Request](r.t)(http.NewRequestWithContext(ctx, "GET", r.server.URL+"/live?what="+escape(what), nil))
	q.Header.Set("Cookie", r.cookies[login])
	got, err := http.DefaultClient.Do(q) //nolint:bodyclose // by whoever reads it
	if err != nil {
		r.t.Fatal(err)
	}
	l := &looking{r.t, got.StatusCode, make(chan string, 100), cancel}
	r.t.Cleanup(cancel)
	go func() {
		defer close(l.events)
		defer got.Body.Close()
		lines := bufio.NewScanner(got.Body)
		event := ""
		for lines.Scan() {
			if name, is := strings.CutPrefix(lines.Text(), "event: "); is {
				event = name
			} else if data, is := strings.CutPrefix(lines.Text(), "data:"); is {
				l.events <- strings.TrimSpace(event + " " + strings.TrimSpace(data))
			}
		}
	}()
	return l
}

// within bounds how long an event is waited for; a test that waits so long has failed.
const within = 30 * time.Second

// until waits for an event.
func (l *looking) until(want string) {
	l.t.Helper()
	timeout := time.After(within)
	var seen []string
	for {
		select {
		case event, open := <-l.events:
			if event == want {
				return
			}
			if seen = append(seen, event); !open {
				l.t.Fatalf("the stream ended before %q: %q", want, seen)
			}
		case <-timeout:
			l.t.Fatalf("no %q: %q", want, seen)
		}
	}
}

// rest waits until what was written before was told.
func (l *looking) rest() {
	time.Sleep(3 * pollEvery)
	for len(l.events) > 0 {
		<-l.events
	}
}

// A stream begins with "changed", and tells of each change of what is looked at: of its case, of
// its purchases however they change, of new ones, of who else looks.
func TestLive(t *testing.T) {
	s := play(t)
	s.look("mia", adama)
	s.look("carol", adama)
	customer := s.watch("anna", "customer/"+adama.String())
	customer.until("changed")
	file := s.watch("anna", "case/"+s.reference)
	file.until("changed")
	bought := s.watch("anna", "purchase/"+s.rig.reference(&s.doubt))
	bought.until("changed")
	queue := s.watch("anna", "queue")
	queue.until("changed")

	other := s.watch("carol", "case/"+s.reference)
	file.until("presence Carol &lt;b&gt;C.&lt;/b&gt; regarde aussi")
	other.until("presence Anna A. regarde aussi")
	other.stop()
	file.until("presence")

	c := s.now()
	if _, err := s.cfg.Care.Act(t.Context(), c.ID, c.Version, care.Actor{Kind: care.ByStaff, Staff: s.staff["mia"].ID}, care.Deed{Do: care.EventNote, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*looking{file, customer, bought, queue} {
		l.until("changed")
	}
	s.sell(adama, adama, false)
	customer.until("changed")
	s.sell(binta, adama, false)
	customer.until("changed")
	s.ocs.tell()
	if err := s.engine.Ask(t.Context(), s.doubt.ID, purchase.WishAnswer); err != nil {
		t.Fatal(err)
	}
	bought.until("changed")
	customer.until("changed")
	s.Drain()
	for range file.events { // ends
	}
}

// A page of a case shows its purchase, and is told of it.
func TestLiveOfACaseTellsOfItsPurchase(t *testing.T) {
	s := play(t)
	file := s.watch("anna", "case/"+s.reference)
	file.until("changed")
	file.rest()
	s.ocs.tell()
	if err := s.engine.Ask(t.Context(), s.doubt.ID, purchase.WishAnswer); err != nil {
		t.Fatal(err)
	}
	file.until("changed")
}

// called is the next version of a callback of a case that another node promised.
func (s *scene) called(file care.CaseID) care.Callback {
	s.t.Helper()
	windows := must[[]purchase.Instant](s.t)(s.cfg.Care.Windows(s.t.Context(), 1))
	c, _, err := s.elsewhere.Promise(s.t.Context(), care.Callback{Number: adama, Case: file, WindowAt: windows[0], Channel: "app", Language: "fr"})
	if err != nil {
		s.t.Fatal(err)
	}
	c.Version++
	c.Case = file
	return c
}

// What another node wrote is found, in cases and in lists.
func TestLiveOfOtherNodes(t *testing.T) {
	s := play(t)
	file, queue, approvals, calls := s.watch("anna", "case/"+s.reference), s.watch("anna", "queue"), s.watch("anna", "approvals"), s.watch("anna", "calls")
	for _, l := range []*looking{file, queue, approvals, calls} {
		l.until("changed")
	}
	c := s.now()
	if _, err := s.elsewhere.Act(t.Context(), c.ID, c.Version, care.Actor{Kind: care.ByStaff, Staff: s.staff["mia"].ID}, care.Deed{Do: care.EventNote, Text: "x"}); err != nil {
		t.Fatal(err)
	}
	file.until("changed")
	queue.until("changed")
	file.rest()
	if err := s.store.ChangeCallback(t.Context(), care.CallbackChange{Now: s.called(c.ID), Entries: []care.Entry{{Case: c.ID, At: s.clock.Now(), Event: care.EventCall,
		By: care.Actor{Kind: care.BySystem}, Text: "a line that changes nothing else of the case"}}}); err != nil {
		t.Fatal(err)
	}
	file.until("changed")
	carol := must[auth.Staff](t)(s.cfg.Staff.Person(t.Context(), s.staff["carol"].ID))
	if _, err := s.elsewhere.Ask(t.Context(), carol, care.Ask{Kind: care.AskGoodwill, Purchase: s.good.ID, Amount: 11_000, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	approvals.until("changed")
	if _, err := s.elsewhere.Ask(t.Context(), carol, care.Ask{Kind: care.AskReversal, Purchase: s.good.ID, Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	approvals.until("changed") // it lists those that wait for a recipient, too
	s.look("anna", binta)
	customer := s.watch("anna", "customer/"+binta.String())
	customer.until("changed")
	customer.rest()
	windows := must[[]purchase.Instant](t)(s.cfg.Care.Windows(t.Context(), 1))
	promised, _, err := s.elsewhere.Promise(t.Context(), care.Callback{Number: binta, WindowAt: windows[0], Channel: "app", Language: "fr"})
	if err != nil {
		t.Fatal(err)
	}
	calls.until("changed")
	customer.until("changed") // of a callback that belongs to no case, too
	customer.rest()
	if _, err := s.elsewhere.Cancel(t.Context(), promised.ID, binta); err != nil {
		t.Fatal(err)
	}
	customer.until("changed")
}

// What a page asks by itself, its stream and its beat included, is no use of a session: whoever is away goes idle.
func TestLiveIsNoUse(t *testing.T) {
	s := play(t)
	session := func() auth.StaffSession {
		return must[[]auth.StaffSession](t)(s.cfg.Staff.Sessions(t.Context(), s.staff["anna"].ID))[0]
	}
	seen := session().SeenAt
	s.clock.by.Add(int64(10 * time.Minute))
	s.watch("anna", "queue").until("changed")
	q := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "GET", s.server.URL+"/queue", nil))
	q.Header.Set("Cookie", s.cookies["anna"])
	q.Header.Set(staff.ByItselfHeader, "1")
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // nothing of it is read
	v := s.visitOf(t, q, auth.Staff{}, "")
	if v.beat(t.Context(), func(string) bool { return true }); session().SeenAt != seen {
		t.Error("a page that nobody touches was noted as use")
	}
	if s.get("anna", "/queue"); session().SeenAt == seen {
		t.Error("a click was not noted")
	}
}

// There are as many streams as are allowed, and one for nothing is refused for good.
func TestLiveIsBounded(t *testing.T) {
	s := play(t)
	for _, what := range []string{"", "nothing", "customer/", "customer/12", "purchase/x", "purchase/K7M2-Q4XD-9T", "case/D-0000-0000-00", "customer/" + binta.String(), "queue/x/" + strings.Repeat("y", 5000)} {
		if l := s.watch("anna", what); l.status != http.StatusNoContent {
			t.Errorf("%.40q: %d", what, l.status)
		}
	}
	var all []*stream
	for range maxStreams {
		x := &stream{what: "queue", wake: make(chan struct{}, 1)}
		if !s.hub.add(x) {
			t.Fatal("too few streams are allowed")
		}
		all = append(all, x)
	}
	if l := s.watch("anna", "queue"); l.status != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: %d", l.status)
	}
	// A reader that reads nothing costs a mark, however much changes.
	for i := range 10_000 {
		s.Changed(care.Changed{Case: care.CaseID(i)})
	}
	if !all[0].changed || len(all[0].wake) != 1 {
		t.Errorf("%+v", all[0])
	}
	for _, x := range all {
		s.hub.remove(x)
	}
	s.watch("anna", "queue").until("changed")
}
