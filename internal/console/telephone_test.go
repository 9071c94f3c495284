package console

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/auth"
	"tenu/internal/care"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

// picksUp signs somebody on at a telephone.
func (r *rig) picksUp(login, extension string) {
	r.t.Helper()
	if a := r.post(login, "/telephone", "do", "sign", "extension", extension); a.status != http.StatusSeeOther {
		r.t.Fatalf("%s signs on at %s: %d %s", login, extension, a.status, a.main())
	}
}

// rings lets a caller wait, and returns the agent whose telephone rings.
func (r *rig) rings(w centre.Waiter) (*centre.Place, centre.Agent) {
	r.t.Helper()
	p := must[*centre.Place](r.t)(r.queue.Enter(w))
	select {
	case a := <-p.Given():
		return p, a
	case <-time.After(within):
		r.t.Fatal("no agent is given")
		return nil, centre.Agent{}
	}
}

// talks answers an agent's telephone, and over ends the call.
func (r *rig) talks(a centre.Agent) {
	r.t.Helper()
	if _, err := r.queue.Take(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) over(a centre.Agent) {
	r.t.Helper()
	if err := r.queue.Over(r.t.Context(), a); err != nil {
		r.t.Fatal(err)
	}
}

// bar is what a page shows of somebody's telephone.
func (r *rig) bar(login string) *answer {
	r.t.Helper()
	a := r.get(login, "/keys")
	_, bar, shown := strings.Cut(a.body, `<section id="telephone"`)
	if !shown {
		return &answer{a.status, a.header, ""}
	}
	bar, _, _ = strings.Cut(bar, "</section>")
	return &answer{a.status, a.header, bar}
}

// An agent signs on, pauses, and goes through a call, with forms alone; the telephone says so on each page.
func TestTelephone(t *testing.T) {
	s := play(t)
	shows(t, s.bar("anna"), http.StatusOK, "Pas au téléphone", `name="extension"`)
	for _, wrong := range []string{"", "-1", "1 7", "sip:17@x", "é", strings.Repeat("1", 65), "17\x00", "<b>", "../17"} {
		shows(t, s.post("anna", "/telephone", "do", "sign", "extension", wrong), http.StatusConflict, "Ce poste est déjà pris, ou n'en est pas un")
	}
	shows(t, s.post("anna", "/telephone", "do", "fly"), http.StatusNotFound)
	s.picksUp("anna", "desk-17.b")
	shows(t, s.bar("anna"), http.StatusOK, "Prêt", "poste desk-17.b", "depuis", `value="pause"`)
	shows(t, s.post("mia", "/telephone", "do", "sign", "extension", "desk-17.b"), http.StatusConflict, "That extension is taken")
	s.post("anna", "/telephone", "do", "pause")
	shows(t, s.bar("anna"), http.StatusOK, "En pause", `value="desk-17.b"`)
	s.picksUp("anna", "17")

	_, agent := s.rings(centre.Waiter{Call: "c-1", Number: binta, Purchase: s.doubt.ID, Case: s.file.ID})
	if agent.Staff != s.staff["anna"].ID {
		t.Fatalf("%+v", agent)
	}
	bar := s.bar("anna")
	shows(t, bar, http.StatusOK, "Ça sonne", "76 44 55 66", s.reference, s.rig.reference(&s.doubt), `data-caller="c-1"`, `href="/customers/+22676445566"`)
	if strings.Contains(bar.body, "data-pops") || strings.Contains(bar.body, `value="pause"`) {
		t.Errorf("before the agent took the call: %s", bar.body)
	}
	shows(t, s.post("anna", "/telephone", "do", "pause"), http.StatusConflict, "Rien n'a été fait")
	shows(t, s.post("anna", "/telephone", "do", "sign", "extension", "18"), http.StatusConflict)
	s.talks(agent)
	shows(t, s.bar("anna"), http.StatusOK, "En communication", "data-pops")
	s.over(agent)
	shows(t, s.bar("anna"), http.StatusOK, "Après l'appel", `data-left="`, `value="done"`, `data-caller="c-1"`)
	s.post("anna", "/telephone", "do", "done")
	shows(t, s.bar("anna"), http.StatusOK, "Prêt")

	if a := s.post("anna", "/signout"); a.status != http.StatusSeeOther {
		t.Fatalf("sign out: %d", a.status)
	}
	if a := must[centre.Agent](t)(s.store.Agent(t.Context(), s.staff["anna"].ID)); a.State != centre.Away {
		t.Errorf("who signed out is %s", a.State)
	}
}

// The call is the reason for which its customer is opened (C5): it is written before anything is shown, for the agent on
// the line and nobody else.
func TestCallerIsLookedAt(t *testing.T) {
	s := play(t)
	s.picksUp("mia", "21")
	_, agent := s.rings(centre.Waiter{Call: "c-1", Number: adama, Purchase: s.doubt.ID})
	page := "/customers/" + adama.String()
	looks := func(login string) []care.Look {
		return must[[]care.Look](t)(s.store.Looks(t.Context(), adama, s.staff[login].ID, 10))
	}
	shows(t, s.get("carol", page), http.StatusOK, `name="reason"`)
	if all := looks("carol"); len(all) != 0 {
		t.Errorf("somebody else's call is a reason: %+v", all)
	}
	shows(t, s.get("mia", "/customers/"+binta.String()), http.StatusOK, `name="reason"`)
	shows(t, s.get("mia", page), http.StatusOK, s.rig.reference(&s.doubt))
	if all := looks("mia"); len(all) != 1 || all[0].Reason != lineReason {
		t.Errorf("looks %+v", all)
	}
	s.get("mia", page)
	shows(t, s.get("mia", "/purchases/"+s.rig.reference(&s.doubt)+"?show=look"), http.StatusOK, "The customer calls 121")
	if all := looks("mia"); len(all) != 2 || all[0].Purchase != s.doubt.ID || all[0].Reason != lineReason {
		t.Errorf("looks %+v", all)
	}
	s.talks(agent)
	s.over(agent)
	s.post("mia", "/telephone", "do", "done")

	// Nobody is shown a number of their own, or a customer where nobody vouched for one.
	own := s.staff["mia"].Numbers[0]
	_, agent = s.rings(centre.Waiter{Call: "c-2", Number: own})
	if bar := s.bar("mia"); strings.Contains(bar.body, "data-caller") || !strings.Contains(bar.main(), "It is your number") {
		t.Errorf("%s", bar.main())
	}
	shows(t, s.get("mia", "/customers/"+own.String()), http.StatusForbidden)
	s.talks(agent)
	s.over(agent)
	s.post("mia", "/telephone", "do", "done")
	_, agent = s.rings(centre.Waiter{Call: "c-3"})
	if bar := s.bar("mia"); strings.Contains(bar.body, "data-caller") || !strings.Contains(bar.main(), "Unknown number") {
		t.Errorf("%s", bar.main())
	}
	s.talks(agent)
}

// A script gets the part of the page that it asked for, with why nothing was done.
func TestTelephoneOfAScript(t *testing.T) {
	s := play(t)
	ask := func(pairs ...string) *answer {
		form := url.Values{"token": {s.token("anna")}}
		for i := 0; i < len(pairs); i += 2 {
			form.Set(pairs[i], pairs[i+1])
		}
		q := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), "POST", s.server.URL+"/telephone", strings.NewReader(form.Encode())))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Cookie", s.cookies["anna"])
		q.Header.Set("HX-Request", "true")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, q)
		return &answer{w.Code, w.Header(), w.Body.String()}
	}
	for _, a := range []*answer{ask("do", "sign", "extension", "17"), s.get("anna", "/telephone")} {
		shows(t, a, http.StatusOK, "Prêt", `<section id="telephone"`)
		if strings.Contains(a.body, "<html") {
			t.Errorf("a whole page: %s", a.body)
		}
	}
	shows(t, ask("do", "sign", "extension", "<b>C.</b>"), http.StatusOK, "Prêt", `role="alert">Ce poste est déjà pris`)
}

// Who may not call has no telephone; where no agent answers a line nobody has one.
func TestTelephoneIsOnlyForCallers(t *testing.T) {
	s := play(t)
	for _, login := range []string{"emil", "fania"} {
		if bar := s.bar(login); bar.body != "" {
			t.Errorf("%s has a telephone: %s", login, bar.body)
		}
		shows(t, s.post(login, "/telephone", "do", "sign", "extension", "17"), http.StatusForbidden)
	}
	s.cfg.Line = nil
	if bar := s.bar("anna"); bar.body != "" {
		t.Errorf("without a line: %s", bar.body)
	}
	for _, path := range []string{"/board", "/customers/" + adama.String(), "/purchases/" + s.rig.reference(&s.doubt), "/calls"} {
		s.look("carol", adama)
		if a := s.get("carol", path); a.status != http.StatusOK || strings.Contains(a.main(), "121") {
			t.Errorf("%s without a line: %d %s", path, a.status, a.main())
		}
	}
	shows(t, s.post("anna", "/telephone", "do", "sign", "extension", "17"), http.StatusNotFound)
	shows(t, s.post("carol", "/board/agents/anna"), http.StatusNotFound)
}

// A call shows on every page of its agent, and on nobody else's, whatever they look at.
func TestPop(t *testing.T) {
	s := play(t)
	s.picksUp("anna", "17")
	s.look("carol", adama)
	anna := []*looking{s.watch("anna", "desk"), s.watch("anna", "queue"), s.watch("anna", "customer/"+adama.String())}
	others := []*looking{s.watch("mia", "desk"), s.watch("carol", "board"), s.watch("carol", "customer/"+adama.String())}
	for _, l := range anna {
		l.until("telephone") // their pages, of no version, have shown no telephone
		l.rest()
	}
	for _, l := range others {
		l.rest()
	}
	_, agent := s.rings(centre.Waiter{Call: "c-1", Number: adama})
	for _, l := range anna {
		l.until("telephone")
	}
	s.talks(agent)
	for _, l := range anna {
		l.until("telephone")
	}
	others[1].until("changed") // the board, which lists agents
	time.Sleep(3 * pollEvery)
	for _, l := range others {
		for len(l.events) > 0 {
			if event := <-l.events; strings.HasPrefix(event, "telephone") {
				t.Errorf("somebody else is told of the call: %q", event)
			}
		}
	}
}

// A page that was made before the call, whose stream begins after it, is told as its stream begins; one that shows the call is not.
func TestPopBetweenPageAndStream(t *testing.T) {
	s := play(t)
	s.picksUp("anna", "17")
	before := must[centre.Agent](t)(s.store.Agent(t.Context(), s.staff["anna"].ID)).Version
	_, agent := s.rings(centre.Waiter{Call: "c-1", Number: adama})
	begun := func(version int64) *stream {
		q := httptest.NewRequestWithContext(t.Context(), "GET", "/live?what=desk&telephone="+strconv.FormatInt(version, 10), nil)
		v := s.visitOf(t, q, s.staff["anna"], "fr")
		x := must[*stream](t)(v.streamOf())
		if !s.hub.add(x) {
			t.Fatal("no stream")
		}
		t.Cleanup(func() { s.hub.remove(x) })
		v.catchUp(x)
		return x
	}
	if x := begun(before); len(x.ring) != 1 {
		t.Error("a page that is behind is not told")
	}
	if x := begun(agent.Version); len(x.ring) != 0 {
		t.Error("a page that shows the call is told of it")
	}
}

// other is another node's console on the same store, which nothing runs.
func (r *rig) other() *Console {
	r.t.Helper()
	cfg := r.cfg
	cfg.Line = &Line{Agents: centre.New(centre.Config{Store: r.store, Clock: r.clock}), Record: r.store}
	return must[*Console](r.t)(New(cfg))
}

// What another node's calls do to agents is seen at the next turn of the hub, told once, and to the agent's pages only.
func TestPopOfOtherNodes(t *testing.T) {
	s := play(t)
	s.picksUp("anna", "17")
	c := s.other()
	now := must[centre.Agent](t)(s.store.Agent(t.Context(), s.staff["anna"].ID))
	anna := &stream{what: "queue", staff: s.staff["anna"].ID, telephone: now.Version, wake: make(chan struct{}, 1), ring: make(chan struct{}, 1)}
	mia := &stream{what: "desk", staff: s.staff["mia"].ID, wake: make(chan struct{}, 1), ring: make(chan struct{}, 1)}
	board := &stream{what: "board", staff: s.staff["carol"].ID, wake: make(chan struct{}, 1), ring: make(chan struct{}, 1)}
	for _, x := range []*stream{anna, mia, board} {
		c.hub.add(x)
	}
	g := &glimpse{since: s.clock.Now()}
	c.hub.glance(t.Context(), g)
	board.changed = false
	if len(anna.ring) != 0 {
		t.Error("told of what the page shows")
	}
	_, agent := s.rings(centre.Waiter{Call: "c-1", Number: adama})
	for _, do := range []func(centre.Agent){func(centre.Agent) {}, s.talks, s.over} {
		do(agent)
		c.hub.glance(t.Context(), g)
		if len(anna.ring) != 1 || len(mia.ring) != 0 || len(board.ring) != 0 || !board.changed {
			t.Fatalf("after one turn: %d %d %d %t", len(anna.ring), len(mia.ring), len(board.ring), board.changed)
		}
		<-anna.ring
		board.changed = false
		c.hub.glance(t.Context(), g)
		if len(anna.ring) != 0 || board.changed {
			t.Error("told twice")
		}
	}
	if err := s.queue.Pause(t.Context(), agent.Staff); err != nil {
		t.Fatal(err)
	}
	if c.hub.glance(t.Context(), g); len(anna.ring) != 1 {
		t.Error("who went away is not told")
	}
}

// A browser at one console hears of a call that another node's line gave.
func TestPopAcrossConsoles(t *testing.T) {
	s := play(t)
	s.picksUp("anna", "17")
	c := s.other()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { c.Run(ctx); close(over) }()
	here := s.server
	there := httptest.NewServer(c)
	t.Cleanup(func() { c.Drain(); there.Close(); cancel(); <-over })
	s.server = there
	anna, mia := s.watch("anna", "desk"), s.watch("mia", "desk")
	s.server = here
	anna.until("telephone")
	anna.rest()
	mia.rest()
	s.rings(centre.Waiter{Call: "c-1", Number: adama})
	anna.until("telephone")
	time.Sleep(3 * pollEvery)
	for len(mia.events) > 0 {
		if event := <-mia.events; strings.HasPrefix(event, "telephone") {
			t.Error("another agent's browser is told of the call")
		}
	}
}

// kept keeps calls of a number, as the line does when they ended.
func (s *scene) kept(number purchase.MSISDN) {
	s.t.Helper()
	at := s.clock.Now()
	call := func(id string, release centre.Release) centre.Call {
		return centre.Call{ID: id, Trunk: "carrier", Number: number, Language: "fr", At: at, Answered: at.Add(time.Second), Ended: at.Add(time.Minute), Release: release}
	}
	informed, promised, spoken, abandoned := call("c-1", centre.Informed), call("c-2", centre.Promised), call("c-3", centre.Spoken), call("c-4", centre.Abandoned)
	informed.Purchase, informed.Incident = s.doubt.ID, "INC-1 <i>appel</i>"
	promised.Callback = must[[]care.Callback](s.t)(s.cfg.Care.Callbacks(s.t.Context(), number, 1))[0].ID
	spoken.Case, spoken.Staff, spoken.Queued, spoken.Taken = s.file.ID, s.staff["carol"].ID, at.Add(2*time.Second), at.Add(12*time.Second)
	abandoned.Queued = at.Add(2 * time.Second)
	hour := purchase.At(at.Time().Truncate(time.Hour))
	if err := s.store.AddCalls(s.t.Context(), []centre.Call{informed, promised, spoken, abandoned}, []centre.Refused{{Epoch: 1, Hour: hour, Count: 1}}); err != nil {
		s.t.Fatal(err)
	}
	s.clock.by.Add(int64(2 * time.Minute))
}

// The customer's page, their purchase's and their case's tell of the calls to the line.
func TestCallsToTheLine(t *testing.T) {
	s := play(t)
	s.kept(adama)
	window := must[[]care.Callback](t)(s.cfg.Care.Callbacks(t.Context(), adama, 1))[0].WindowAt
	v := s.visitOf(t, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil), s.staff["anna"], "fr")
	a := s.get("anna", "/customers/"+adama.String())
	shows(t, a, http.StatusOK, "Appels au 121", "A entendu l'état de son achat", "Rappel promis : "+v.window(window), "A parlé", "avec Carol", "A raccroché en attendant")
	whole(t, "customer", a.body)
	shows(t, s.get("anna", "/purchases/"+s.rig.reference(&s.doubt)+"?show=line"), http.StatusOK, "Appel au 121 : A entendu l'état de son achat")
	a = s.get("anna", "/cases/"+s.reference+"?show=line")
	shows(t, a, http.StatusOK, "Appel au 121 : A parlé", "avec Carol")
	if strings.Contains(a.main(), "A entendu") {
		t.Error("a case shows a call that was not about it")
	}
}

// The board sums up today's calls, says who waits, and lets a supervisor set an agent away who has no call.
func TestBoardOfTheLine(t *testing.T) {
	s := play(t)
	s.kept(adama)
	s.picksUp("anna", "17")
	a := s.get("carol", "/board")
	shows(t, a, http.StatusOK, "Ligne 121, aujourd'hui", "personne n'attend", "Anna A.", "Prêt", "Décrochés : 4, refusés : 1", "25 % des appels décrochés", "Rappels promis : 1, dossiers : 0")
	for name, value := range map[string]string{"Appels": "5", "Informés sans agent": "1", "Avec un agent": "1", "Abandonnés": "1", "Décroché en": "1.0 s", "Répondus à temps": "40 %", "Attente d'un agent": "10.0 s"} {
		shows(t, a, http.StatusOK, "<h2>"+name+"</h2>", ">"+value+"</p>")
	}
	shows(t, s.post("anna", "/board/agents/anna"), http.StatusForbidden)
	shows(t, s.post("emil", "/board/agents/anna"), http.StatusForbidden)
	shows(t, s.post("carol", "/board/agents/nobody"), http.StatusNotFound)
	_, agent := s.rings(centre.Waiter{Call: "c-9", Number: adama})
	must[*centre.Place](t)(s.queue.Enter(centre.Waiter{Call: "c-10", Number: binta, Since: s.clock.Now().Add(-time.Minute)}))
	shows(t, s.get("carol", "/board"), http.StatusOK, "le premier depuis 60.0 s", "Ça sonne")
	shows(t, s.post("carol", "/board/agents/anna"), http.StatusConflict)
	s.talks(agent)
	s.over(agent)
	if a := s.post("carol", "/board/agents/anna"); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.main())
	}
	shows(t, s.get("carol", "/board"), http.StatusOK, "En pause")
	if a := must[centre.Agent](t)(s.store.Agent(t.Context(), s.staff["anna"].ID)); a.State != centre.Away {
		t.Errorf("%+v", a)
	}
}

// Where the line calls back by itself, no agent is offered to, or does.
func TestCallsThatAreDialled(t *testing.T) {
	s := play(t)
	id := must[[]care.Callback](t)(s.cfg.Care.Callbacks(t.Context(), adama, 1))[0]
	s.clock.by.Add(int64(id.WindowAt.Sub(s.clock.Now())) + int64(time.Minute))
	shows(t, s.get("anna", "/calls"), http.StatusOK, "70 11 22 33", `value="ring"`)
	s.cfg.Line.Dials = true
	a := s.get("anna", "/calls")
	shows(t, a, http.StatusOK, "Le 121 rappelle de lui-même", "Dès qu'un agent est prêt.")
	if strings.Contains(a.body, `value="ring"`) {
		t.Error("a call is offered")
	}
	shows(t, s.post("anna", "/calls", "do", "ring", "id", strconv.FormatInt(id.ID, 10)), http.StatusConflict, "Le 121 rappelle de lui-même")
	if _, _, err := s.cfg.Care.Ring(t.Context(), must[auth.Staff](t)(s.cfg.Staff.Person(t.Context(), s.staff["mia"].ID)), id.ID); err != nil {
		t.Fatal(err)
	}
	shows(t, s.get("anna", "/calls"), http.StatusOK, "En cours, avec Mia M.")
}

// Whatever is typed as a telephone, its agent has that one or none, and pages stay whole.
func FuzzExtension(f *testing.F) {
	s := play(f)
	for _, text := range []string{"17", "", "desk-17.b", "<b>C.</b>", "sip:17@host", "\x00", "00\xab", "\" onfocus=\"x", strings.Repeat("9", 5000)} {
		f.Add(text)
	}
	token := s.token("anna")
	f.Fuzz(func(t *testing.T, text string) {
		form := url.Values{"token": {token}, "do": {"sign"}, "extension": {text}}
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/telephone", strings.NewReader(form.Encode()))
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		q.Header.Set("Cookie", s.cookies["anna"])
		w := httptest.NewRecorder()
		s.ServeHTTP(w, q)
		if w.Code != http.StatusSeeOther && w.Code != http.StatusConflict {
			t.Errorf("%q: %d", text, w.Code)
		}
		if found := inline.FindString(w.Body.String()); found != "" {
			t.Errorf("%q is shown as %q", text, found)
		}
		a, err := s.store.Agent(t.Context(), s.staff["anna"].ID)
		if err != nil || w.Code == http.StatusSeeOther && a.Extension != strings.ToValidUTF8(strings.TrimSpace(text), "") {
			t.Errorf("%q is kept as %q, %v", text, a.Extension, err)
		}
	})
}
