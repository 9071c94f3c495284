package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tenu/internal/care"
	"tenu/internal/incident"
	"tenu/internal/notify/gsm7"
	"tenu/internal/partner"
	"tenu/internal/purchase"
	"tenu/internal/ussd"
)

var updateScreens = flag.Bool("update-screens", false, "write the screens of testdata/ussd as they are")

// dialled is an installation, and a gateway that asks its menus over HTTP.
type dialled struct {
	*site
	testing.TB
	client *http.Client
	url    string
}

// dialIn starts an installation that ends with the test.
func dialIn(t testing.TB) *dialled {
	t.Helper()
	return dialAt(t, startSite(t, nil))
}

func dialAt(t testing.TB, s *site) *dialled {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(s.Dir, "ussd-key"))
	if err != nil {
		t.Fatal(err)
	}
	g := &dialled{s, t, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, "http://" + s.at.ussd.Addr().String() + "/ussd/" + string(key)}
	t.Cleanup(g.client.CloseIdleConnections)
	return g
}

// post sends a turn as a gateway does.
func (g *dialled) post(form url.Values) (status int, body string) {
	g.Helper()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, g.url, strings.NewReader(form.Encode()))
	if err != nil {
		g.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := g.client.Do(request)
	if err != nil {
		g.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		g.Error(err)
	}
	return response.StatusCode, string(data)
}

// turn asks for the screen of a session, and checks that any telephone can show it.
func (g *dialled) turn(number, session, text string) string {
	g.Helper()
	status, screen := g.post(url.Values{"sessionId": {session}, "serviceCode": {"*121#"}, "phoneNumber": {"+226" + number}, "text": {text}})
	body, going := strings.CutPrefix(screen, "CON ")
	if !going {
		body, going = strings.CutPrefix(screen, "END ")
	}
	n, err := gsm7.Septets(body)
	choices := len(aChoice.FindAllString(anAmount.ReplaceAllString(body, ""), -1))
	if status != http.StatusOK || !going || err != nil || n > gsm7.MaxSeptets || n == 0 || choices > 5 || strings.ContainsAny(screen, "\u00a0\u202f") {
		g.Errorf("%q: status %d, %d septets, %d choices, %v:\n%s", text, status, n, choices, err, screen)
	}
	return screen
}

// What is looked for in a screen.
var (
	aReference = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{2}\b`)
	aWindow    = regexp.MustCompile(`(\d\d/\d\d )?\d\d:\d\d-\d\d:\d\d`)
	aChoice    = regexp.MustCompile(`(?m)^\d .`)
	anAmount   = regexp.MustCompile(`(?m)^\d \d{3} F CFA`)
	aReceipt   = regexp.MustCompile(`\{ref\} n\d+|\b[0-9a-f]{8}$`)
	aTime      = regexp.MustCompile(`\d\d/\d\d \d\d:\d\d|\b\d\d:\d\d\b|\b\d\d/\d\d\b`)
)

// plainScreen is a screen without what differs from run to run.
func plainScreen(screen, number string) string {
	screen = aReference.ReplaceAllString(screen, "{ref}")
	screen = aReceipt.ReplaceAllStringFunc(screen, func(found string) string {
		if rest, numbered := strings.CutPrefix(found, "{ref} n"); numbered {
			return found[:len(found)-len(rest)] + "{n}"
		}
		return "{key}"
	})
	screen = aTime.ReplaceAllString(aWindow.ReplaceAllString(screen, "{window}"), "{time}")
	me := number[:2] + " " + number[2:4] + " " + number[4:6] + " " + number[6:]
	return strings.ReplaceAll(screen, me, "{me}")
}

// caller is a customer with a telephone.
type caller struct {
	*dialled
	number, session, text string
	sessions              int
}

// begin dials, with what is typed after the service code.
func (c *caller) begin(typed string) string {
	c.sessions++
	typed = c.named(typed)
	c.session, c.text = fmt.Sprintf("s-%s-%d", c.number, c.sessions), typed
	return c.again()
}

// named puts the number's newest purchase for {last}, or for {first} the oldest.
func (c *caller) named(typed string) string {
	c.Helper()
	if !strings.Contains(typed, "{") {
		return typed
	}
	all := c.purchases()
	if len(all) == 0 {
		c.Fatalf("%q: there is no purchase", typed)
	}
	return strings.NewReplacer("{last}", string(c.node.customers.Reference(all[0].ID)), "{first}", string(c.node.customers.Reference(all[len(all)-1].ID))).Replace(typed)
}

// enter types on.
func (c *caller) enter(typed string) string {
	typed = c.named(typed)
	if c.text != "" {
		typed = c.text + "*" + typed
	}
	c.text = typed
	return c.again()
}

// again asks for the screen twice, as a gateway does that did not hear the answer.
func (c *caller) again() string {
	c.Helper()
	first := plainScreen(c.turn(c.number, c.session, c.text), c.number)
	if second := plainScreen(c.turn(c.number, c.session, c.text), c.number); second != first {
		c.Errorf("%q twice: first\n%s\nthen\n%s", c.text, first, second)
	}
	return first
}

// await asks *121*7# until the last purchases show something.
func (c *caller) await(want string) {
	c.Helper()
	for i := range 600 {
		screen := c.turn(c.number, fmt.Sprintf("await-%s-%d-%d", c.number, c.sessions, i), "7")
		if regexp.MustCompile(want).MatchString(screen) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.Fatalf("%q never came", want)
}

func (c *caller) msisdn() purchase.MSISDN {
	n, err := strconv.ParseInt("226"+c.number, 10, 64)
	if err != nil {
		c.Fatal(err)
	}
	return purchase.MSISDN(n)
}

// purchases are those that the number made or got.
func (c *caller) purchases() []purchase.Purchase {
	c.Helper()
	list, err := c.node.store.List(context.Background(), purchase.Page{Number: c.msisdn(), Limit: 100})
	if err != nil {
		c.Fatal(err)
	}
	return list
}

func (c *caller) reports() []care.Report {
	c.Helper()
	var ids []purchase.ID
	for _, p := range c.purchases() {
		ids = append(ids, p.ID)
	}
	found, err := c.node.store.Reports(context.Background(), ids...)
	if err != nil {
		c.Fatal(err)
	}
	return found
}

// execute changes the database behind the node's back.
func (c *caller) execute(statement string, arguments ...any) {
	c.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(c.Dir, "tenu.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		c.Fatal(err)
	}
	_, err = db.ExecContext(context.Background(), statement, arguments...)
	if err := errors.Join(err, db.Close()); err != nil {
		c.Fatal(err)
	}
}

// faults switches a fault of a partner on, or all off for "".
func (c *caller) faults(name, fault string) {
	c.Helper()
	at := c.sandbox.addresses().Wallet
	if name == "ocs" {
		at = c.sandbox.addresses().Charging
	}
	if fault != "" {
		c.fault(c, at, fault)
		return
	}
	request, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, at+"/faults", nil)
	if err != nil {
		c.Fatal(err)
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.Fatal(err)
	}
	response.Body.Close()
}

// probe asks after a partner's health until it is as wanted. The guard is told that
// hours went by, and asks no more by itself.
func (c *caller) probe(name string, want partner.Status) {
	c.Helper()
	guard := c.node.parts.guards[name]
	for hours := 1; guard.State().Health.Status != want && hours < 100; hours++ {
		if _, err := guard.Step(context.Background(), c.app.clock.Now().Add(time.Duration(hours)*time.Hour)); err != nil {
			c.Fatal(err)
		}
	}
}

// shut pauses sales of a series in words.
func (c *caller) shut(series string) {
	c.Helper()
	by, name, _ := strings.Cut(series, " ")
	dimension, _ := incident.ParseDimension(by)
	if _, err := c.node.pauses.Pause(context.Background(), incident.Actor{}, incident.Series{By: dimension, Name: name}, "a test", true); err != nil {
		c.Fatal(err)
	}
}

// reopen ends all pauses.
func (c *caller) reopen() {
	c.Helper()
	for _, p := range c.node.pauses.Pauses() {
		if _, err := c.node.pauses.Resume(context.Background(), incident.Actor{}, p.ID, 0, "a test", true); err != nil {
			c.Fatal(err)
		}
	}
}

// do runs a command of a transcript and returns the screen it brings, if any.
func (c *caller) do(command string) (screen string) {
	c.Helper()
	word, rest, _ := strings.Cut(command, " ")
	switch word {
	case "dial":
		return c.begin(rest)
	case ">":
		return c.enter(rest)
	case "again":
		return c.again()
	case "await":
		c.await(rest)
	case "later": // the telephone was put away for so long
		d, err := time.ParseDuration(rest)
		if err != nil {
			c.Fatal(err)
		}
		c.execute(`UPDATE ussd_session SET at = at - $1, began = began - $1 WHERE number = $2`, d.Microseconds(), int64(c.msisdn()))
		c.execute(`UPDATE checkout SET at = at - $1 WHERE number = $2`, d.Microseconds(), int64(c.msisdn()))
	case "fault":
		c.faults(strings.SplitN(rest, " ", 2)[0], strings.SplitN(rest, " ", 2)[1])
	case "pause":
		c.faults(rest, `{"operation":"heartbeat","kind":"outage"}`)
		c.probe(rest, partner.Unavailable)
	case "heal":
		c.faults(rest, "")
		c.probe(rest, partner.Available)
	case "shut": // sales are paused, by a person
		c.shut(rest)
	case "reopen":
		c.reopen()
	case "purchases", "reports", "calls":
		n := map[string]func() int{"purchases": func() int { return len(c.purchases()) }, "reports": func() int { return len(c.reports()) }, "calls": func() int {
			calls, err := c.node.store.Callbacks(context.Background(), c.msisdn(), 100)
			if err != nil {
				c.Fatal(err)
			}
			return len(calls)
		}}[word]()
		if strconv.Itoa(n) != rest {
			c.Errorf("%d %s, want %s", n, word, rest)
		}
	default:
		c.Fatalf("no command %q", command)
	}
	return ""
}

// Every path of the menus, as testdata/ussd has them. A block of a transcript is a
// command and the screen that it brings; testdata/ussd/README says more.
func TestUSSD(t *testing.T) {
	g := dialIn(t)
	files, err := filepath.Glob("testdata/ussd/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for i, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := &caller{dialled: &dialled{g.site, t, g.client, g.url}, number: fmt.Sprintf("7010%04d", i)}
			t.Cleanup(func() { c.faults("wallet", ""); c.faults("ocs", ""); c.reopen() })
			var out bytes.Buffer
			for at, block := range strings.Split(strings.TrimSpace(string(data)), "\n\n") {
				lines := strings.Split(block, "\n")
				first := slices.IndexFunc(lines, func(line string) bool { return !strings.HasPrefix(line, "#") })
				if at > 0 {
					out.WriteString("\n")
				}
				if first < 0 {
					out.WriteString(block + "\n")
					continue
				}
				want := strings.Join(lines[first+1:], "\n")
				got := c.do(lines[first])
				out.WriteString(strings.Join(lines[:first+1], "\n") + "\n")
				if got != "" {
					out.WriteString(got + "\n")
				}
				if got != want && !*updateScreens {
					t.Fatalf("block %d, %s: got\n%s\nwant\n%s", at+1, lines[first], got, want)
				}
			}
			if *updateScreens {
				if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A session that drops after any turn goes on where it was, under the keys that it
// had: however often that happens, one purchase is made.
func TestUSSDResumesAnywhere(t *testing.T) {
	g := dialIn(t)
	paths := [][]string{{"1", "1", "1", "1050", "1"}, {"1", "2", "76445566", "4", "1", "1"}, {"9", "1", "1", "5", "2", "2", "1"}}
	for i, path := range paths {
		for drop := 1; drop < len(path); drop++ {
			c := &caller{dialled: g, number: fmt.Sprintf("702%d%04d", i, drop)}
			screen := c.begin("")
			for _, typed := range path[:drop] {
				screen = c.enter(typed)
			}
			home := strings.Contains(screen, "English")
			for range 3 { // and dropped again at once
				if c.begin(""); home {
					break
				}
				if got := c.enter("1"); got != screen {
					t.Errorf("%v dropped: goes on with\n%s\nwant\n%s", path[:drop], got, screen)
				}
			}
			for _, typed := range path[drop:] {
				screen = c.enter(typed)
			}
			if !strings.HasPrefix(screen, "END ") || len(c.purchases()) != 1 {
				t.Errorf("%v, dropped after %d: %d purchases, %s", path, drop, len(c.purchases()), screen)
			}
		}
	}
}

// Whoever did not see how it ended, and dials again, has bought once: whether what is
// kept of the session says that it ended or not.
func TestUSSDRedial(t *testing.T) {
	g := dialIn(t)
	for i, what := range []struct{ typed, ended string }{
		{"1*1*1*1050*1", "END Validez"}, // paid
		{"5*2", "END Rappel promis"},
	} {
		c := &caller{dialled: g, number: fmt.Sprintf("7030000%d", i)}
		last := strings.LastIndex(what.typed, "*")
		c.begin(what.typed[:last])
		told := c.enter(what.typed[last+1:])
		if !strings.HasPrefix(told, what.ended) {
			t.Fatal(told)
		}
		// The node stopped before it had kept the end.
		c.execute(`UPDATE ussd_session SET ended = 0, typed = $1 WHERE number = $2`, what.typed[:last], int64(c.msisdn()))
		if got := c.begin(""); !strings.Contains(got, "1 Reprendre") {
			t.Fatal(got)
		}
		if i == 0 {
			if got := c.enter("1"); got != told {
				t.Errorf("goes on with %s, want %s", got, told)
			}
		} else {
			c.enter("1")
		}
		c.begin(what.typed) // anew, and the same
		if n := len(c.purchases()); n > 1 || i == 0 && n != 1 {
			t.Errorf("%s: %d purchases", what.typed, n)
		}
		calls, err := g.node.store.Callbacks(t.Context(), c.msisdn(), 10)
		if err != nil || len(calls) > 1 {
			t.Errorf("%s: %d callbacks, %v", what.typed, len(calls), err)
		}
	}
	// A turn of a session that another goes on with, and that comes late, changes nothing.
	c := &caller{dialled: g, number: "70300009"}
	c.begin("1")
	c.enter("1")
	old, text := c.session, c.text
	c.begin("")
	want := c.enter("1")
	c.turn(c.number, old, text)
	c.turn(c.number, old, "1")
	if got := c.again(); got != want {
		t.Errorf("after a late turn: %s, want %s", got, want)
	}
}

// A choice of language leaves alone what is muted.
func TestUSSDLanguageKeepsChoices(t *testing.T) {
	g := dialIn(t)
	c := &caller{dialled: g, number: "70400000"}
	c.execute(`INSERT INTO customer (number, at, language, muted) VALUES ($1, 1, 'fr', 5)`, int64(c.msisdn()))
	c.begin("8*1")
	chosen, err := g.node.customers.Choices(t.Context(), c.msisdn())
	if err != nil || chosen.Language != "en" || chosen.Muted != 5 {
		t.Errorf("got %+v, %v", chosen, err)
	}
	if c.begin("8*2*8*1*8*2"); !strings.Contains(c.again(), "Acheter") {
		t.Error("the last choice does not count")
	}
}

// Whatever is sent, a screen or a refusal comes back.
func TestUSSDGarbage(t *testing.T) {
	g := dialIn(t)
	good := func() url.Values {
		return url.Values{"sessionId": {"s"}, "serviceCode": {"*121#"}, "phoneNumber": {"+22670500000"}, "text": {""}}
	}
	for name, text := range map[string]string{
		"200 parts": strings.Repeat("1*", 200), "long part": strings.Repeat("1", 5000), "NUL": "1*\x00*1\x001", "invalid": "1*1*\xff\xfe\xc3",
		"emoji": "1*2*😀😀", "cut rune": "1*2*" + strings.Repeat("é", 100), "stars": "****", "hashes": "##*#", "blanks": " * * ",
		"lines": "1\n*1\r", "script": "<script>", "minus": "-1*-5", "large": "99999999999999999999", "other digits": "١*２", "quotes": `'; DROP TABLE purchase --`,
		"exponent": "1*1*1*1e3", "again and again": strings.Repeat("9*", 59) + "9",
	} {
		g.turn("70500000", "garbage-"+strings.ReplaceAll(name, " ", "-"), text)
	}
	for name, change := range map[string]func(url.Values){
		"no session": func(v url.Values) { v.Del("sessionId") }, "no number": func(v url.Values) { v.Del("phoneNumber") },
		"empty session": func(v url.Values) { v.Set("sessionId", "") }, "long session": func(v url.Values) { v.Set("sessionId", strings.Repeat("s", 129)) },
		"session of NUL": func(v url.Values) { v.Set("sessionId", "a\x00") }, "foreign number": func(v url.Values) { v.Set("phoneNumber", "+33612345678") },
		"no telephone": func(v url.Values) { v.Set("phoneNumber", "x") }, "10 kB": func(v url.Values) { v.Set("text", strings.Repeat("1*", 5000)) },
	} {
		v := good()
		change(v)
		if status, body := g.post(v); status != http.StatusBadRequest {
			t.Errorf("%s: %d: %s", name, status, body)
		}
	}
	wrong := *g
	wrong.url = strings.TrimSuffix(g.url, "/") + "0"
	if status, _ := wrong.post(good()); status != http.StatusNotFound {
		t.Errorf("with a wrong key: %d", status)
	}
	list, err := g.node.store.List(t.Context(), purchase.Page{Number: 22670500000, Limit: 1})
	if err != nil || len(list) > 0 {
		t.Errorf("garbage bought %v, %v", list, err)
	}
}

// Sessions at once do not hinder each other: each buys once, though its gateway asks
// for each turn twice, at the same time.
func TestUSSDAtOnce(t *testing.T) {
	g := dialIn(t)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			c := &caller{dialled: g, number: fmt.Sprintf("7060%04d", i)}
			text := ""
			for _, typed := range []string{"", "1", "1", "1", strconv.Itoa(500 + 5*i), "1"} {
				text = strings.TrimPrefix(text+"*"+typed, "*")
				var twice sync.WaitGroup
				for range 2 {
					twice.Go(func() { c.turn(c.number, "s"+c.number, text) })
				}
				twice.Wait()
			}
			for range 100 { // until it is known
				if screen := c.turn(c.number, "s"+c.number, text); strings.HasPrefix(screen, "END Validez") {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if n := len(c.purchases()); n != 1 {
				t.Errorf("%s: %d purchases", c.number, n)
			}
		})
	}
	all.Wait()
}

// How long a customer waits for a screen, over HTTP and with the database's disk.
func BenchmarkUSSDTurn(b *testing.B) {
	g, number := dialIn(b), 0
	for _, turn := range []struct{ name, text string }{{"home", ""}, {"products", "1*1"}, {"recap", "1*1*1*1050"}, {"pay", "1*1*1*1050*1"}} {
		b.Run(turn.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				number++
				began := time.Now()
				g.turn(fmt.Sprintf("707%05d", number%100_000), fmt.Sprintf("%s-%d", turn.name, number), turn.text)
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
		})
	}
}

// A purchase that is made while the session asks which one is meant does not take the
// other's number, not even when the session drops meanwhile.
func TestUSSDReportsWhatWasShown(t *testing.T) {
	g := dialIn(t)
	c, friend := &caller{dialled: g, number: "70800000"}, &caller{dialled: g, number: "70800001"}
	c.begin("1*1*1*300*1")
	c.await("crédité")
	first := c.purchases()[0].ID
	c.begin("4")
	friend.begin("1*2*" + c.number + "*1*900*1")
	c.enter("1")
	c.begin("")
	c.enter("1")
	c.enter("1")
	if found := c.reports(); len(c.purchases()) != 2 || len(found) != 1 || found[0].Purchase != first {
		t.Errorf("reported %+v of %d purchases, want one of %d", found, len(c.purchases()), first)
	}
	if c.begin("4*1*1"); len(c.reports()) != 2 {
		t.Error("the new one cannot be reported")
	}
}

// failingSessions is a store of sessions that fails.
type failingSessions struct{ read, write error }

func (f failingSessions) USSDSession(context.Context, purchase.MSISDN) (ussd.Kept, error) {
	return ussd.Kept{Base: ussd.Base{Session: "before", Typed: []string{"1"}}, At: 1 << 60}, f.read
}
func (f failingSessions) KeepUSSDSession(context.Context, ussd.Kept) error { return f.write }
func (f failingSessions) DropUSSDSessions(context.Context, purchase.Instant) error {
	return f.write
}

// Sessions that cannot be kept cannot be gone on with. All else works.
func TestUSSDWithoutSessions(t *testing.T) {
	g := dialIn(t)
	_, payers := g.node.parts.catalogue.Labels()
	desk, err := care.New(care.Config{Store: g.node.store, Clock: g.app.clock, Hours: g.node.cfg.Callbacks.hours(g.node.parts.zone)})
	if err != nil {
		t.Fatal(err)
	}
	answer := func(f failingSessions, number purchase.MSISDN, typed ...string) ussd.Screen {
		menu, err := ussd.New(ussd.Config{Brand: "tenu", Customers: g.node.customers, Sales: g.node.desk, Care: desk, Numbers: g.node.parts.directory,
			Store: f, Payers: payers, Location: g.node.parts.zone, Clock: g.app.clock})
		if err != nil {
			t.Fatal(err)
		}
		return menu.Answer(t.Context(), ussd.Turn{Session: "s", Number: number, Typed: typed})
	}
	for i, f := range []failingSessions{{read: purchase.ErrUnavailable}, {write: purchase.ErrUnavailable}} {
		number := purchase.MSISDN(22670900000 + i)
		if s := answer(f, number); s.End || !strings.Contains(s.Text, "1 Acheter") {
			t.Errorf("%+v: %+v", f, s)
		}
		for range 2 {
			if s := answer(f, number, "1", "1", "1", "1050", "1"); !s.End || !strings.Contains(s.Text, "Validez") {
				t.Errorf("%+v: %+v", f, s)
			}
		}
	}
	if s := answer(failingSessions{}, 22670900003); s.End || !strings.Contains(s.Text, "1 Reprendre") {
		t.Errorf("kept: %+v", s)
	}
	// Nobody knows what the next choice would mean.
	if s := answer(failingSessions{write: purchase.ErrCommitUnknown}, 22670900004); !s.End {
		t.Errorf("kept or not: %+v", s)
	}
}

// A gateway that asks for one turn many times at once has one answer.
func TestUSSDTogether(t *testing.T) {
	g := dialIn(t)
	for round := range 10 {
		c := &caller{dialled: g, number: fmt.Sprintf("7100000%d", round)}
		for text, want := range map[string]string{"1*1*1*1050": "CON 1 000 F CFA pour le", "1*1*4*2": "CON Internet semaine", "1*1*1*2000*1": "END Validez", "5*2": "END Rappel promis"} {
			var all sync.WaitGroup
			screens := make([]string, 8)
			for i := range screens {
				all.Go(func() { screens[i] = c.turn(c.number, "s"+c.number, text) })
			}
			all.Wait()
			for _, screen := range screens {
				if screen != screens[0] || !strings.HasPrefix(screen, want) {
					t.Errorf("%s: %q, want %q as the first, %q", text, screen, want, screens[0])
				}
			}
		}
		if n := len(c.purchases()); n != 1 {
			t.Errorf("%d purchases", n)
		}
	}
}

// Windows fill up, and then nothing is promised.
func TestUSSDCallbacksFull(t *testing.T) {
	s := startSite(t, func(text string) string { return text + "callbacks: {opens: 7h, closes: 7h15m, per_window: 1}\n" })
	g := dialAt(t, s)
	for i := range 4 {
		c := &caller{dialled: g, number: fmt.Sprintf("7110000%d", i)}
		switch screen := c.begin("5"); {
		case strings.HasPrefix(screen, "END Plus de place"):
			if i == 0 {
				t.Error("nothing was ever promised")
			}
			return
		case !strings.Contains(c.enter("1"), "promis"):
			t.Errorf("not promised after %s", screen)
		}
	}
	t.Error("windows never fill up")
}
