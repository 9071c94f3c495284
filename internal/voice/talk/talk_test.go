package talk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"tenu/internal/care"
	"tenu/internal/customer"
	"tenu/internal/incident"
	"tenu/internal/purchase"
	"tenu/internal/voice/centre"
)

func TestMain(m *testing.M) {
	// The SIP library keeps a telephone's socket until its last transaction is forgotten.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/emiago/sipgo/sip.(*TransportUDP).readUDPConnection"))
}

const bought = "achat de mille cinquante francs du neuf juillet à treize heures quarante-cinq "

// Where the last purchase stands, in the words for who paid it, and for who only receives it.
func TestStates(t *testing.T) {
	for name, c := range map[string]struct {
		events     []purchase.Event
		after      time.Duration
		payer, own string
	}{
		"asking":   {nil, 0, "Votre " + bought + "attend votre accord. Rien n'a été prélevé", "n'est pas encore payé"},
		"declined": {[]purchase.Event{declined}, 0, "Votre " + bought + "n'a pas été prélevé", "n'a pas abouti. Rien n'est crédité"},
		"paid": {[]purchase.Event{charged}, time.Second,
			"Votre " + bought + "est payé, pas encore crédité. Crédit ou remboursement avant quatorze heures", "est payé, pas encore crédité"},
		"late": {[]purchase.Event{charged, silence}, 2 * time.Minute,
			"Votre " + bought + "est payé, pas crédité à temps. Crédit ou remboursement avant quatorze heures", "est payé, pas encore crédité"},
		"overdue": {[]purchase.Event{charged, silence}, 20 * time.Minute,
			"est payé, pas encore crédité. Nous n'avons pas tenu le délai. L'argent n'est pas perdu.", "est payé, pas encore crédité"},
		"refunding": {[]purchase.Event{charged, refused}, 0,
			"n'a pas été crédité. Il est remboursé avant treize heures quarante-cinq", "n'a pas abouti. Rien n'est crédité"},
		"refund late": {[]purchase.Event{charged, refused}, time.Hour, "Son remboursement est en retard. L'argent n'est pas perdu.", "n'a pas abouti"},
		"refunded":    {[]purchase.Event{charged, refused, refunded}, 0, "Votre " + bought + "est remboursé", "n'a pas abouti"},
		"credited":    {[]purchase.Event{charged, credited}, 0, "Votre " + bought + "est crédité", "treize heures quarante-cinq est crédité"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			p := r.sell(omar, c.events...)
			r.now = r.now.Add(c.after)
			heard, record := r.call(awa, "")
			if !strings.Contains(heard.heard(), c.payer) || heard.asked[0] != "welcome" || len(heard.asked) < 3 {
				t.Errorf("the payer hears %q", heard.heard())
			}
			if record.Release != centre.Informed || record.Purchase != p.ID || record.Number != awa || record.ID != "call-1" || record.Trunk != "sbc" {
				t.Errorf("%+v", record)
			}
			heard, _ = r.call(omar, "")
			if got := heard.heard(); !strings.Contains(got, c.own) || strings.Contains(got, "francs") || strings.Contains(got, "Votre achat") || strings.Contains(got, "rembours") {
				t.Errorf("the recipient hears %q", got)
			}
		})
	}
}

// A time of another day is said with its day.
func TestTomorrow(t *testing.T) {
	r := newRig(t, nil)
	r.now = noon.Add(10*time.Hour + 5*time.Minute)
	r.sell(awa, charged)
	heard, _ := r.call(awa, "")
	if !strings.Contains(heard.heard(), "avant le dix juillet à minuit cinq") {
		t.Errorf("%q", heard.heard())
	}
}

// The language is the customer's, or the purchase's; key 8 changes it, and is the customer's choice from then on.
func TestLanguage(t *testing.T) {
	r := newRig(t, nil)
	heard, record := r.call(awa, "8")
	if heard.said[len(heard.said)-1][:9] != "To report" || record.Language != "en" {
		t.Errorf("%q, %+v", heard.heard(), record)
	}
	heard, record = r.call(awa, "")
	if heard.said[0] != "Hello, this is customer service." || record.Language != "en" {
		t.Errorf("%q, %+v", heard.heard(), record)
	}
	r.store.fault = func(_ context.Context, what string) error {
		if what == "choose" {
			return purchase.ErrUnavailable
		}
		return nil
	}
	if heard, _ = r.call(awa, "8"); heard.language != "fr" {
		t.Errorf("%q", heard.heard())
	}
}

// How to report, by what is pressed: the matters are those of care, in their order.
func TestReport(t *testing.T) {
	for keys, want := range map[string]struct {
		matter purchase.Matter
		meant  purchase.MSISDN
		key    string
	}{
		"11.":             {care.MatterNotReceived, 0, "reported"},
		"1270445566#.":    {care.MatterWrongNumber, omar, "reported"},
		"12#12#7#0.":      {"", 0, "no_number"},
		"12...0.":         {care.MatterWrongNumber, 0, "reported"},
		"13.":             {care.MatterWrongProduct, 0, "reported"},
		"14.":             {care.MatterDuplicate, 0, "reported"},
		"15.":             {care.MatterOther, 0, "reported"},
		"10":              {"", 0, "menu"},
		"19.5.":           {care.MatterOther, 0, "wrong"},
		"110" + "11.":     {care.MatterNotReceived, 0, "report_known"},
		"110" + "0" + ".": {care.MatterNotReceived, 0, "more"},
	} {
		t.Run(keys, func(t *testing.T) {
			r := newRig(t, nil)
			p := r.sell(awa, charged, silence)
			r.now = r.now.Add(2 * time.Minute)
			heard, record := r.call(awa, keys)
			heard.follows("welcome", "late", "menu", "matters", want.key)
			reports := must[[]care.Report](t)(r.care.Reports(t.Context(), p.ID))
			if want.matter == "" {
				return
			}
			if len(reports) != 1 || reports[0].Matter != want.matter || reports[0].Meant != want.meant || reports[0].Channel != "voice" || reports[0].Number != awa {
				t.Errorf("%+v", reports)
			}
			if record.Release != centre.Reported {
				t.Errorf("%+v", record)
			}
			r.treat()
			if texts := r.letters(awa); len(texts) != 1 || !strings.Contains(texts[0], "ouvert") {
				t.Errorf("told %q", texts)
			}
			heard, record = r.call(awa, keys)
			r.treat()
			if cases := must[[]care.Case](t)(r.care.CasesOf(t.Context(), awa, 9)); len(cases) != 1 || record.Case != cases[0].ID || len(r.letters(awa)) != 1 {
				t.Errorf("again: %+v, %q, %+v; %q", cases, r.letters(awa), record, heard.asked)
			}
			heard.follows("late", "case_open", "report_known")
		})
	}
}

// What was not taken, or is given back, is said again in place of a report that nothing came; another matter is added to the case.
func TestNothingTaken(t *testing.T) {
	r := newRig(t, nil)
	p := r.sell(awa, declined)
	heard, _ := r.call(awa, "11")
	heard.follows("declined", "matters", "declined", "menu")
	if reports := must[[]care.Report](t)(r.care.Reports(t.Context(), p.ID)); len(reports) != 0 {
		t.Errorf("%+v", reports)
	}
	r.call(awa, "15.")
	r.treat()
	heard, _ = r.call(awa, "14.")
	heard.follows("report_added")
}

// Without a purchase a report is a case of the number, once.
func TestReportWithoutPurchase(t *testing.T) {
	r := newRig(t, nil)
	heard, record := r.call(awa, "1.")
	heard.follows("welcome", "nothing", "menu", "reported", "more")
	if record.Release != centre.Reported || record.Case == 0 {
		t.Errorf("%+v", record)
	}
	r.treat()
	heard, again := r.call(awa, "1.")
	heard.follows("report_known")
	if texts := r.letters(awa); len(texts) != 1 || again.Case != record.Case {
		t.Errorf("told %q, %+v", texts, again)
	}
}

// A callback is promised in the window that was accepted, told by SMS, said again to who calls again, and cancelled.
func TestCallback(t *testing.T) {
	r := newRig(t, nil)
	p := r.sell(awa, charged, silence)
	heard, record := r.call(awa, "221.")
	heard.follows("menu", "windows", "windows", "promised", "more")
	if !strings.Contains(heard.heard(), "vous rappelons le neuf juillet entre quatorze heures quinze et quatorze heures trente") {
		t.Errorf("%q", heard.heard())
	}
	calls := must[[]care.Callback](t)(r.care.Callbacks(t.Context(), awa, 9))
	if len(calls) != 1 || calls[0].Channel != "voice" || calls[0].Purchase != p.ID || record.Callback != calls[0].ID || record.Release != centre.Promised {
		t.Errorf("%+v, %+v", calls, record)
	}
	heard, record = r.call(awa, "20.")
	heard.follows("promised_known", "promised_keep", "menu", "silent")
	if record.Callback != calls[0].ID || record.Release != centre.Promised {
		t.Errorf("%+v", record)
	}
	if texts := r.letters(awa); len(texts) != 1 || !strings.Contains(texts[0], "le 09/07 entre 14:15 et 14:30") {
		t.Errorf("told %q", texts)
	}
	heard, record = r.call(awa, "23")
	heard.follows("promised_keep", "cancelled", "menu")
	if calls = must[[]care.Callback](t)(r.care.Callbacks(t.Context(), awa, 9)); calls[0].State != care.Cancelled || record.Release != centre.Informed {
		t.Errorf("%+v, %+v", calls, record)
	}
	heard, _ = r.call(awa, "20")
	heard.follows("windows", "menu")
}

// fill promises all windows but so many to others.
func (r *rig) fill(free int) {
	r.t.Helper()
	windows := must[[]purchase.Instant](r.t)(r.care.Windows(r.t.Context(), 1000))
	for _, at := range windows[:len(windows)-free] {
		r.others++
		if _, _, err := r.care.Promise(r.t.Context(), care.Callback{Number: 22671000000 + r.others, WindowAt: at, Channel: "app", Language: "fr"}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// When no window has room the wish is noted in a case; one that is taken meanwhile is not promised.
func TestNoWindow(t *testing.T) {
	for _, with := range []bool{true, false} {
		r := newRig(t, nil)
		if with {
			r.sell(awa, charged, credited)
		}
		r.fill(1)
		c := &caller{keys: "21.", on: func(key string) {
			if key == "windows" {
				r.fill(0)
			}
		}}
		heard, record := r.talk(c, awa, (*conversation).serve)
		heard.follows("windows", "window_taken", "no_window", "more")
		r.treat()
		cases := must[[]care.Case](t)(r.care.CasesOf(t.Context(), awa, 9))
		if len(cases) != 1 || !cases[0].Has(care.MatterOther) || record.Release != centre.Reported || len(r.letters(awa)) != 1 {
			t.Errorf("%+v, %+v", cases, record)
		}
	}
}

// During an incident the caller whose purchase it affects hears it, has a case, and the line is released.
func TestIncident(t *testing.T) {
	r := newRig(t, nil)
	p := r.sell(awa, charged, silence)
	r.now = r.now.Add(2 * time.Minute)
	in := r.outage(noon.Add(2 * time.Hour))
	heard, record := r.call(awa, ".")
	heard.follows("welcome", "late", "incident", "incident_till", "incident_case", "more")
	if !strings.Contains(heard.heard(), "Une panne touche votre service depuis treize heures quarante-cinq Aucun achat payé n'est perdu.") ||
		!strings.Contains(heard.heard(), "Le service devrait revenir avant quinze heures quarante-cinq") || slices.Contains(heard.asked, "menu") {
		t.Errorf("%q", heard.heard())
	}
	if record.Release != centre.Reported || record.Incident != in.ID.String() || record.Purchase != p.ID {
		t.Errorf("%+v", record)
	}
	r.treat()
	if texts := r.letters(awa); len(texts) != 1 || !strings.HasPrefix(texts[0], "Dossier D-") {
		t.Errorf("told %q", texts)
	}
	// When it should be over is not said once that has passed; whoever wants more gets it.
	r.now = r.now.Add(3 * time.Hour)
	heard, record = r.call(awa, "0"+"21.")
	heard.follows("incident", "incident_known", "more", "menu", "windows", "promised")
	if slices.Contains(heard.asked, "incident_till") || record.Case == 0 || record.Release != centre.Promised {
		t.Errorf("%q, %+v", heard.asked, record)
	}
	r.treat()
	if cases := must[[]care.Case](t)(r.care.CasesOf(t.Context(), awa, 9)); len(cases) != 1 {
		t.Errorf("%+v", cases)
	}
	// Who has no purchase hears of what serves the number, and what has its outcome is told as it is.
	heard, record = r.call(omar, ".")
	heard.follows("nothing", "incident", "incident_none", "more")
	if record.Case != 0 || record.Incident == "" || record.Release != centre.Informed {
		t.Errorf("%+v", record)
	}
	r.drive(p, credited)
	if heard, _ = r.call(awa, "."); slices.Contains(heard.asked, "incident") {
		t.Errorf("%q", heard.asked)
	}
}

// A caller waits, is told the place, and speaks with the agent who was given, after one who did not answer.
func TestAgent(t *testing.T) {
	r := newRig(t, nil)
	p := r.sell(awa, charged, silence)
	a := r.agents
	a.takes = []purchase.Instant{0, noon.Add(time.Minute)}
	c := &caller{keys: "3." + "~" + ".."}
	c.on = func(key string) {
		switch {
		case key == "still_waiting" && len(a.rang) == 0:
			a.place.given <- centre.Agent{Staff: 7}
		case key == "still_waiting":
			a.place.given <- centre.Agent{Staff: 8}
			c.keys = "~"
		}
	}
	heard, record := r.talk(c, awa, (*conversation).serve)
	heard.follows("menu", "wait", "still_waiting", "connecting", "still_waiting", "connecting")
	if !strings.Contains(heard.heard(), "Un agent vous répond dans trois à six minutes") || !strings.Contains(heard.heard(), "Vous êtes le numéro deux") {
		t.Errorf("%q", heard.heard())
	}
	if record.Release != centre.Spoken || record.Staff != 8 || record.Queued != noon || record.Taken != noon.Add(time.Minute) || record.Unrecorded {
		t.Errorf("%+v", record)
	}
	want := centre.Waiter{Call: record.ID, Number: awa, Purchase: p.ID, Language: "fr", Since: noon}
	if len(a.waiters) != 1 || a.waiters[0] != want || a.place.left == 0 {
		t.Errorf("%+v, left %d times", a.waiters, a.place.left)
	}
}

// When agents cannot be called any more nobody waits for them: at once a callback is offered.
func TestAgentsAreDown(t *testing.T) {
	r := newRig(t, nil)
	a := r.agents
	a.takes, a.down = []purchase.Instant{0}, true
	a.place.given <- centre.Agent{Staff: 7}
	c := &caller{keys: "3~"}
	c.on = func(key string) {
		if key == "connecting" {
			c.keys = "1."
		}
	}
	heard, record := r.talk(c, awa, (*conversation).serve)
	if heard.follows("menu", "connecting", "nobody", "windows", "promised"); record.Release != centre.Promised || a.place.left == 0 {
		t.Errorf("%+v, left %d times", record, a.place.left)
	}
	if slices.Contains(heard.asked, "still_waiting") {
		t.Errorf("%q", heard.asked)
	}
}

// A caller who waits takes a callback instead, in the first window; one to whom a promise was broken goes first.
func TestWaitingTakesCallback(t *testing.T) {
	r := newRig(t, nil)
	r.agents.most = 2 * time.Minute
	heard, record := r.talk(&caller{keys: "3.2.", on: func(string) { r.now = r.now.Add(time.Second) }}, awa, (*conversation).serve)
	heard.follows("wait_short", "still_waiting", "promised", "more")
	if record.Release != centre.Promised || record.Callback == 0 || r.agents.place.left == 0 || r.agents.waiters[0].First {
		t.Errorf("%+v, %+v", record, r.agents)
	}
	if calls := must[[]care.Callback](t)(r.care.Callbacks(t.Context(), awa, 1)); calls[0].At != record.Queued || calls[0].At == r.now {
		t.Errorf("%+v waits since %s", calls, record.Queued)
	}
	r.now = r.now.Add(time.Hour)
	r.treat() // broken, and promised again
	heard, record = r.call(awa, "32.")
	heard.follows("promised_known")
	if !r.agents.waiters[1].First || record.Release != centre.Promised {
		t.Errorf("%+v", r.agents.waiters)
	}
}

// Nobody to speak with is never the end: when it is not the time, nobody is there, too many wait, all leave.
func TestNoAgent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig)
		said   string
	}{
		"night":  {func(r *rig) { r.agents.open, r.now = false, noon.Add(8*time.Hour) }, "Les agents répondent de sept heures à vingt et une heures"},
		"nobody": {func(r *rig) { r.agents.open = false }, "Aucun agent ne peut répondre pour le moment."},
		"long":   {func(r *rig) { r.agents.known = false }, "Tous les agents sont occupés."},
		"full":   {func(r *rig) { r.agents.full = errors.New("full") }, "Tous les agents sont occupés."},
		"leave":  {func(*rig) {}, "Aucun agent ne peut répondre pour le moment."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c.change(r)
			keys, wait := "31.", &caller{}
			if name == "leave" {
				keys, wait.on = "3.1.", func(key string) { r.agents.open = key != "wait" }
			}
			wait.keys = keys
			heard, record := r.talk(wait, awa, (*conversation).serve)
			if heard.follows("windows", "promised"); !strings.Contains(heard.heard(), c.said) || record.Release != centre.Promised {
				t.Errorf("%q, %+v", heard.heard(), record)
			}
		})
	}
}

// Who may be recorded is told so before anybody is waited for, and may refuse.
func TestConsent(t *testing.T) {
	for keys, refuses := range map[string]bool{"39~": true, "3.~": false, "35~": false} {
		r := newRig(t, func(cfg *Config) { cfg.Consent = true })
		r.agents.takes = []purchase.Instant{noon}
		r.agents.place.given <- centre.Agent{Staff: 7}
		heard, record := r.call(awa, keys)
		heard.follows("consent", "connecting") // what is said of the wait ends at once
		if record.Unrecorded != refuses || slices.Contains(heard.asked, "refused") != refuses || record.Release != centre.Spoken {
			t.Errorf("%q: %q, %+v", keys, heard.asked, record)
		}
	}
}

// A hidden number says nothing until a code proves it.
func TestHiddenCaller(t *testing.T) {
	r := newRig(t, nil)
	p := r.sell(awa, charged, silence)
	heard, record := r.call(0, "70112233#C#")
	heard.follows("welcome", "unknown_caller", "other_code", "other_type", "paid", "menu")
	if record.Number != awa || record.Purchase != p.ID || record.Release != centre.Informed {
		t.Errorf("%+v", record)
	}
	for keys, want := range map[string][]string{
		"...":                         {"unknown_caller", "silent", "unknown_caller", "silent", "unknown_caller", "silent", "goodbye"},
		"12#7#99#":                    {"no_number", "no_number", "no_number", "goodbye"},
		"70112233#111111#11#.":        {"other_code", "other_wrong", "other_type", "other_wrong", "other_type", "silent", "other_stopped", "unknown_caller"},
		"0#1.":                        {"wait", "still_waiting"},
		"0#2" + "70112233#C#21." + "": {"wait", "unknown_caller", "other_code", "paid", "menu", "windows", "promised"},
	} {
		t.Run(keys, func(t *testing.T) {
			r := newRig(t, nil)
			r.sell(awa, charged, silence)
			heard, record := r.call(0, keys)
			heard.follows(want...)
			if proven := strings.Contains(keys, "C"); !proven && (strings.Contains(heard.heard(), "achat de") || record.Purchase != 0 || record.Number != 0) {
				t.Errorf("%q, %+v", heard.heard(), record)
			}
		})
	}
}

// A caller who is known hears of another number once a code proved it; and no more codes are sent than the app sends.
func TestAnotherNumber(t *testing.T) {
	r := newRig(t, nil)
	r.sell(awa, charged, credited)
	heard, record := r.call(omar, "4"+"70112233#C#"+"21."+"")
	heard.follows("nothing", "menu", "other_number", "other_code", "other_type", "credited", "menu", "windows", "promised")
	if calls := must[[]care.Callback](t)(r.care.Callbacks(t.Context(), awa, 9)); len(calls) != 1 || record.Number != omar {
		t.Errorf("%+v, %+v", calls, record)
	}
	heard, _ = r.call(omar, "4"+"70112233#C#"+"8"+"4"+"70445566#"+"")
	heard.follows("credited", "menu", "other_number", "nothing")
	if got := must[customer.Choices](t)(r.cfg.Customers.Choices(t.Context(), awa)); got.Language != "" {
		t.Errorf("another's language is %q", got.Language)
	}
	heard, _ = r.call(omar, "4"+"70112233#000000#.."+"4"+"70112233#")
	heard.follows("other_stopped", "menu", "other_number", "too_many", "menu")
	heard, _ = r.call(omar, "4...")
	heard.follows("other_number", "silent", "other_number", "silent", "other_number", "silent", "menu")
}

// What is promised to another number, and what an agent is shown of it, is not about the caller's own purchase.
func TestAnotherNumberIsAnothers(t *testing.T) {
	r := newRig(t, nil)
	r.sell(awa, charged, silence)
	r.agents.takes = []purchase.Instant{0}
	heard, _ := r.call(awa, "4"+"70445566#C#"+"32.")
	heard.follows("paid", "menu", "other_number", "nothing", "menu", "wait", "promised")
	calls := must[[]care.Callback](t)(r.care.Callbacks(t.Context(), omar, 9))
	if len(calls) != 1 || calls[0].Purchase != 0 || calls[0].Case != 0 {
		t.Errorf("promised %+v", calls)
	}
	if w := r.agents.waiters; len(w) != 1 || w[0].Number != omar || w[0].Purchase != 0 || w[0].Case != 0 {
		t.Errorf("waited as %+v", w)
	}
}

// Hidden callers together use up the codes of their trunk, and not everybody's.
func TestHiddenCallersAreBound(t *testing.T) {
	r := newRig(t, nil)
	sent := 0
	for n := range 40 {
		heard, _ := r.call(0, fmt.Sprintf("704455%02d#", n))
		if slices.Contains(heard.asked, "other_type") {
			sent++
			<-r.codes
		}
	}
	if sent != 30 {
		t.Errorf("%d codes", sent)
	}
	heard, _ := r.call(omar, "4"+"70112233#C#")
	heard.follows("other_type", "nothing")
}

// Wrong keys and silence are answered, three times in a row; nobody goes round in circles for ever.
func TestWrongKeys(t *testing.T) {
	r := newRig(t, nil)
	heard, record := r.call(awa, "9.*")
	if want := []string{"welcome", "nothing", "menu", "wrong", "menu", "silent", "menu", "wrong", "goodbye"}; !slices.Equal(heard.asked, want) {
		t.Errorf("%q", heard.asked)
	}
	if record.Release != centre.Informed {
		t.Errorf("%+v", record)
	}
	heard, _ = r.call(awa, strings.Repeat("0", 1000))
	if n := len(heard.asked); n > 3*maxQuestions || heard.asked[n-1] != "goodbye" {
		t.Errorf("%d phrases", n)
	}
}

// Beyond the lines a number that is vouched for is promised a callback, once, and others hear how they get one.
func TestOverload(t *testing.T) {
	r := newRig(t, nil)
	heard, record := r.talk(&caller{}, awa, (*conversation).overload)
	if want := []string{"overload", "promised", "goodbye"}; !slices.Equal(heard.asked, want) || record.Release != centre.Overload || record.Callback == 0 {
		t.Errorf("%q, %+v", heard.asked, record)
	}
	if texts := r.letters(awa); len(texts) != 1 {
		t.Errorf("told %q", texts)
	}
	heard, again := r.talk(&caller{}, awa, (*conversation).overload)
	if want := []string{"overload", "promised_known", "goodbye"}; !slices.Equal(heard.asked, want) || again.Callback != record.Callback {
		t.Errorf("%q, %+v", heard.asked, again)
	}
	if heard, _ = r.talk(&caller{}, 0, (*conversation).overload); !slices.Equal(heard.asked, []string{"overload", "overload_how", "goodbye"}) {
		t.Errorf("%q", heard.asked)
	}
	r.fill(0)
	if heard, record = r.talk(&caller{}, omar, (*conversation).overload); !slices.Equal(heard.asked, []string{"overload", "overload_how", "goodbye"}) || record.Callback != 0 {
		t.Errorf("%q, %+v", heard.asked, record)
	}
}

// A store that fails, or says nothing, is told as it is; agents are there all the same.
func TestStoreFails(t *testing.T) {
	unknown := errors.New("the connection broke")
	for _, c := range []struct {
		fails   string
		with    error
		keys    string
		want    []string
		release centre.Release
	}{
		{"list", purchase.ErrUnavailable, "", []string{"welcome", "unread", "menu"}, centre.Failed},
		{"list", purchase.ErrUnavailable, "1.", []string{"unread", "menu", "reported"}, centre.Reported},
		{"list", purchase.ErrUnavailable, "3.", []string{"unread", "menu", "wait", "still_waiting"}, centre.Abandoned},
		{"report", purchase.ErrUnavailable, "11", []string{"matters", "failed", "menu"}, centre.Failed},
		{"report", unknown, "11", []string{"matters", "unsure", "menu"}, centre.Failed},
		{"callbacks", purchase.ErrUnavailable, "2", []string{"failed", "menu"}, centre.Failed},
		{"callbacks", purchase.ErrUnavailable, "32", []string{"wait", "failed", "menu"}, centre.Failed},
		{"promise", unknown, "21", []string{"windows", "unsure", "menu"}, centre.Failed},
		{"promise", unknown, "32", []string{"wait", "unsure", "menu"}, centre.Failed},
		{"confirm", unknown, "21.", []string{"windows", "promised"}, centre.Promised},
		{"code", purchase.ErrUnavailable, "470445566#", []string{"other_number", "failed", "menu"}, centre.Failed},
		{"try", purchase.ErrUnavailable, "470445566#111111#", []string{"other_code", "failed", "menu"}, centre.Failed},
		{"affects", purchase.ErrUnavailable, "", []string{"paid", "menu"}, centre.Informed},
	} {
		r := newRig(t, nil)
		r.sell(awa, charged, silence)
		r.store.fault = func(_ context.Context, what string) error {
			if what == c.fails {
				return fmt.Errorf("test: %w", c.with)
			}
			return nil
		}
		heard, record := r.call(awa, c.keys)
		if heard.follows(c.want...); record.Release != c.release {
			t.Errorf("%s after %q: %+v", c.fails, c.keys, record)
		}
	}
	r := newRig(t, nil)
	r.sell(awa, charged, silence)
	r.now = r.now.Add(2 * time.Minute)
	r.outage(0)
	r.store.fault = func(_ context.Context, what string) error {
		if what == "report" {
			return unknown
		}
		return nil
	}
	heard, record := r.call(awa, ".")
	if heard.follows("incident", "unsure", "more"); record.Release != centre.Failed {
		t.Errorf("%+v", record)
	}
	r = newRig(t, nil)
	r.sent = errors.New("no centre")
	heard, _ = r.call(awa, "470445566#")
	heard.follows("other_code", "failed", "menu")
	r.fill(0)
	r.store.fault = func(_ context.Context, what string) error {
		if what == "case" {
			return unknown
		}
		return nil
	}
	heard, _ = r.call(awa, "1"+"2")
	heard.follows("unsure", "menu", "unsure", "menu")
	r.store.fault = func(_ context.Context, what string) error {
		if what == "cancel" {
			return unknown
		}
		return nil
	}
	heard, record = r.call(22671000001, "23")
	if heard.follows("promised_keep", "unsure"); record.Release != centre.Failed {
		t.Errorf("%+v", record)
	}
}

// A store that never answers holds nobody up.
func TestStoreHangs(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Patience = 20 * time.Millisecond })
	stuck := make(chan struct{})
	r.store.fault = func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
	heard, _ := r.call(awa, "2")
	heard.follows("welcome", "unread", "menu", "failed", "menu")
	r.late = true // nor one that does not even hear that it is late
	r.store.fault = func(context.Context, string) error { <-stuck; return nil }
	heard, _ = r.call(awa, "")
	heard.follows("welcome", "unread", "menu")
	close(stuck)
}

// paths are ways through the choices, each once with a hang-up after every phrase.
var paths = []string{"11.", "1270445566#.", "221.", "3.2.", "3..~", "470445566#C#21.", "8", "0", "9..", "1" + "10" + "2" + "1" + "0" + "3.2."}

// Whoever hangs up, wherever: there is one record, the place in the queue is left, and nothing is there twice when
// they call again to the end.
func TestHangUpEverywhere(t *testing.T) {
	for _, outage := range []bool{false, true} {
		for _, keys := range paths {
			t.Run(fmt.Sprint(keys, outage), func(t *testing.T) { hangUps(t, keys, outage) })
		}
	}
}

func hangUps(t *testing.T, keys string, outage bool) {
	r := newRig(t, func(cfg *Config) { cfg.Consent = true })
	r.sell(awa, charged, silence)
	r.now = r.now.Add(2 * time.Minute)
	if outage {
		r.outage(0)
		keys = "0" + keys
	}
	for k := 1; ; k++ {
		r.agents.place.left, r.agents.waiters, r.agents.rang = 0, nil, nil
		for range len(r.codes) {
			<-r.codes
		}
		c := &caller{keys: keys, hangUp: k}
		c.on = func(key string) {
			if key == "still_waiting" && strings.Contains(c.keys, "~") {
				r.agents.takes, c.keys = []purchase.Instant{r.now}, "~"
				r.agents.place.given <- centre.Agent{Staff: 7}
			}
		}
		heard, record := r.talk(c, awa, (*conversation).serve)
		for len(r.agents.place.given) > 0 {
			<-r.agents.place.given
		}
		if record.Ended < record.Answered || record.Answered < record.At || len(r.agents.waiters) > 0 != (record.Queued != 0) ||
			len(r.agents.waiters) > 0 && r.agents.place.left == 0 || k < 3 && record.Release != centre.Abandoned {
			t.Errorf("after %d phrases: %+v, %+v", k, record, r.agents)
		}
		if k%3 == 0 {
			r.treat()
		}
		if len(heard.asked) < k {
			break
		}
	}
	r.treat()
	cases := must[[]care.Case](t)(r.care.CasesOf(t.Context(), awa, 99))
	calls := must[[]care.Callback](t)(r.care.Callbacks(t.Context(), awa, 99))
	if len(cases) > 1 || len(calls) > 1 || len(calls)+len(cases) < len(r.letters(awa)) {
		t.Errorf("%d cases, %d callbacks, told %q", len(cases), len(calls), r.letters(awa))
	}
}

// An incident of what does not serve the number says nothing to it.
func TestForeignIncident(t *testing.T) {
	r := newRig(t, func(cfg *Config) { cfg.Serves = func(purchase.MSISDN) []incident.Series { return nil } })
	r.outage(0)
	if heard, _ := r.call(omar, ""); slices.Contains(heard.asked, "incident") {
		t.Errorf("%q", heard.asked)
	}
}
