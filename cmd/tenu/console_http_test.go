package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// clerk is somebody at the console, by HTTP alone.
type clerk struct {
	t     testing.TB
	at    string
	http  http.Client
	token string // of the last page
}

// clerk signs in by password; nobody with the login "".
func (s *site) clerk(t testing.TB, login string) *clerk {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &clerk{t: t, at: "http://" + s.at.console.Addr().String()}
	c.http.Jar = jar
	c.http.Timeout = 20 * time.Second
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(c.http.CloseIdleConnections)
	c.get("/signin")
	if login == "" {
		return c
	}
	if status, text := c.post("/signin", url.Values{"login": {login}, "password": {s.password}}); status != http.StatusSeeOther {
		t.Fatalf("%s is not signed in: %d %s", login, status, text)
	}
	c.get("/account")
	return c
}

var tokenForm = regexp.MustCompile(`name="token" value="([^"]+)"`)

func (c *clerk) do(r *http.Request) (status int, text string) {
	c.t.Helper()
	response, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if m := tokenForm.FindSubmatch(body); m != nil {
		c.token = string(m[1])
	}
	if to := response.Header.Get("Location"); to != "" {
		return response.StatusCode, to
	}
	return response.StatusCode, string(body)
}

// get returns a page, or where it leads.
func (c *clerk) get(path string) (status int, text string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.at+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.do(r)
}

// post sends a form with the token of the last page.
func (c *clerk) post(path string, form url.Values) (status int, text string) {
	c.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has("token") {
		form.Set("token", c.token)
	}
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.do(r)
}

// admitted opens a customer, with a reason.
func (c *clerk) admitted(number string) {
	c.t.Helper()
	if status, text := c.get("/customers/" + number); status != http.StatusOK {
		c.t.Fatalf("%d %s", status, text)
	}
	status, text := c.post("/customers/"+number, url.Values{"reason": {"call"}, "to": {"/customers/" + number}})
	if status != http.StatusSeeOther || text != "/customers/"+number {
		c.t.Fatalf("reason: %d %s", status, text)
	}
}

// bought makes a sale that ends credited, and returns its reference.
func (s *site) bought(t testing.TB, number string, minor int64) string {
	t.Helper()
	p, err := s.remote.buy(t.Context(), uuid.NewString(), &wish{Product: "airtime", Number: number, Amount: minor, Currency: "XOF", PayWith: "wallet", Again: true}, 10)
	if err != nil {
		t.Fatal(err)
	}
	return p.Reference
}

// Every page that there is can be shown to everybody who may see it, and to nobody
// else.
func TestConsoleShowsEveryPage(t *testing.T) {
	s := startSite(t, nil)
	reference := s.bought(t, "+22670112251", 1050)
	everybody := []string{"awa", "fatou", "issa", "grace"} // an agent, a supervisor, an administrator, an auditor
	failing := s.opened(t, "provider ocs", false)
	pages := map[string][]string{
		"/queue": everybody, "/queue?view=open": everybody, "/calls": everybody, "/approvals": everybody, "/macros": everybody, "/account": everybody, "/keys": everybody,
		"/customers/+22670112251": everybody, "/purchases/" + reference: everybody, "/purchases/" + reference + "?show=look": everybody,
		"/customers/+22670112251/balance": everybody,
		"/incidents":                      everybody, failing: everybody, "/banner": everybody, failing + "/report.html": everybody, failing + "/report.pdf?language=en": everybody,
		"/breaks": everybody, "/breaks?state=all&partner=ocs&age=1": everybody, "/closes": everybody,
		"/board": {"fatou", "issa", "grace"}, "/board.json": {"fatou", "issa", "grace"}, "/rules": {"fatou", "issa", "grace"}, "/audit": {"fatou", "issa", "grace"},
		"/staff": {"issa"}, "/staff/awa": {"issa"},
	}
	for _, login := range everybody {
		c := s.clerk(t, login)
		c.admitted("+22670112251")
		for path, may := range pages {
			want := http.StatusForbidden
			for _, one := range may {
				if one == login {
					want = http.StatusOK
				}
			}
			if status, text := c.get(path); status != want {
				t.Errorf("%s sees %s: %d, want %d: %s", login, path, status, want, text)
			}
		}
	}
	// A sign-in is known by the address that it came from, without the port, by which tries are counted too.
	if n := s.count(t, "staff_session WHERE address <> '127.0.0.1'"); n != 0 {
		t.Errorf("%d sign-ins came from elsewhere", n)
	}
	stranger := s.clerk(t, "")
	for path := range pages {
		if status, text := stranger.get(path); status != http.StatusSeeOther && status != http.StatusUnauthorized || strings.Contains(text, reference) && status == http.StatusOK {
			t.Errorf("a stranger sees %s: %d %s", path, status, text)
		}
	}
}

// opened opens an incident by hand, and returns where its page is.
func (s *site) opened(t testing.TB, series string, pause bool) string {
	t.Helper()
	form := url.Values{"series": {series}, "reason": {"des plaintes"}}
	if pause {
		form["pause"], form["held"] = []string{"on"}, []string{"on"}
	}
	status, to := s.clerk(t, "fatou").post("/incidents", form)
	if status != http.StatusSeeOther {
		t.Fatalf("open an incident: %d %s", status, to)
	}
	to, _, _ = strings.Cut(to, "?")
	return to
}

// What fatou does at the console holds for those who sell, and every page says it within a second.
func TestConsolePausesSales(t *testing.T) {
	s := startSite(t, nil)
	s.bought(t, "+22670112256", 1050)
	awa, fatou := s.clerk(t, "awa"), s.clerk(t, "fatou")
	desk, list := awa.look("desk"), fatou.look("incidents")
	list.wait(t, "changed")
	failing := s.opened(t, "product airtime", true)
	desk.wait(t, "incident")
	list.wait(t, "changed")
	name := strings.TrimPrefix(failing, "/incidents/")
	for _, path := range []string{"/queue", "/incidents", failing, "/keys"} {
		if status, text := awa.get(path); status != http.StatusOK || !strings.Contains(text, `aria-label="`+name+`"`) {
			t.Errorf("%s does not say %s: %d", path, name, status)
		}
	}
	wish := &wish{Product: "airtime", Number: "+22670112256", Amount: 1050, Currency: "XOF", PayWith: "wallet", Again: true}
	if _, err := s.remote.buy(t.Context(), uuid.NewString(), wish, 10); err == nil || !strings.Contains(err.Error(), "product_paused") {
		t.Errorf("what is paused is sold: %v", err)
	}
	pauses := s.pausesOf(t, fatou)
	if len(pauses) != 1 {
		t.Fatalf("pauses %q", pauses)
	}
	if status, _ := awa.post("/pauses", url.Values{"do": {"resume"}, "id": {pauses[0]}, "reason": {"x"}}); status != http.StatusForbidden {
		t.Errorf("an agent resumes: %d", status)
	}
	if status, text := fatou.post("/pauses", url.Values{"do": {"resume"}, "id": {pauses[0]}, "reason": {"réparé"}}); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, text)
	}
	list.wait(t, "changed")
	s.bought(t, "+22670112257", 1050)
}

var resumed = regexp.MustCompile(`name="id" value="(\d+)"`)

// pausesOf are the pauses that somebody may end.
func (s *site) pausesOf(t testing.TB, c *clerk) (ids []string) {
	t.Helper()
	status, text := c.get("/incidents")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, m := range resumed.FindAllStringSubmatch(text, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// told waits for an event of a stream.
type told struct {
	events chan string
	end    func()
}

// look opens the stream of what a page looks at.
func (c *clerk) look(what string) *told {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.at+"/live?what="+url.QueryEscape(what), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	client := c.http
	client.Timeout = 0
	response, err := client.Do(r) //nolint:bodyclose // end closes it
	if err != nil {
		c.t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		c.t.Fatalf("%s is no stream: %d %s", what, response.StatusCode, kind)
	}
	s := &told{make(chan string, 100), func() { cancel(); _ = response.Body.Close() }}
	go func() {
		defer close(s.events)
		lines := bufio.NewScanner(response.Body)
		event := ""
		for lines.Scan() {
			if name, is := strings.CutPrefix(lines.Text(), "event: "); is {
				event = name
			}
			if data, is := strings.CutPrefix(lines.Text(), "data:"); is {
				s.events <- event + strings.TrimRight(":"+data, ": ")
			}
		}
	}()
	c.t.Cleanup(s.end)
	return s
}

// wait returns once an event that holds a text came.
func (s *told) wait(t testing.TB, text string) {
	t.Helper()
	for {
		select {
		case event, more := <-s.events:
			if !more {
				t.Fatalf("the stream ended before %q", text)
			}
			if strings.Contains(event, text) {
				return
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no event %q came", text)
		}
	}
}

// A stream tells of what is done to what is looked at, and of who else looks.
func TestConsoleLive(t *testing.T) {
	s := startSite(t, nil)
	reference := s.bought(t, "+22670112252", 1050)
	awa, moussa := s.clerk(t, "awa"), s.clerk(t, "moussa")
	awa.admitted("+22670112252")
	moussa.admitted("+22670112252")
	first := awa.look("purchase/" + reference)
	second := moussa.look("purchase/" + reference)
	first.wait(t, "presence: Moussa")
	second.wait(t, "presence: Awa")
	customer, queue := awa.look("customer/+22670112252"), awa.look("queue")
	if status, text := moussa.post("/customers/+22670112252/case", url.Values{"matter": {"other"}, "detail": {"rien"}, "about": {reference}}); status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, text)
	}
	for _, stream := range []*told{first, customer, queue} {
		stream.wait(t, "changed")
	}
	second.end()
	first.wait(t, "presence")
}

// What is typed leads to what it names, and nothing that is typed breaks anything.
func TestConsoleSearch(t *testing.T) {
	s := startSite(t, nil)
	reference := s.bought(t, "+22670112253", 1050)
	c := s.clerk(t, "awa")
	c.admitted("+22670112253")
	status, file := c.post("/customers/+22670112253/case", url.Values{"matter": {"other"}, "detail": {"rien"}, "about": {reference}})
	if status != http.StatusSeeOther {
		t.Fatalf("%d %s", status, file)
	}
	file, _, _ = strings.Cut(file, "?")
	name := strings.TrimPrefix(file, "/cases/")
	for typed, to := range map[string]string{
		"+226 70-11.22.53": "/customers/+22670112253", "70112253": "/customers/+22670112253", "00226 70 11 22 53": "/customers/+22670112253",
		reference: "/purchases/" + reference, strings.ToLower(strings.ReplaceAll(reference, "-", " ")): "/purchases/" + reference,
		name: file, strings.ToLower(name): file,
		"Credite: 1000 F CFA. Merci. Ref " + reference + " tenu": "/purchases/" + reference,
		"Dossier " + name + " : rien":                            file, "bonjour, mon numero est le 70 11 22 53 merci": "/customers/+22670112253",
	} {
		if status, text := c.get("/search?q=" + url.QueryEscape(typed)); status != http.StatusSeeOther || text != to {
			t.Errorf("%q leads to %d %.300s, not to %s", typed, status, text, to)
		}
	}
	for _, typed := range []string{"", " ", "0", "D-0000-0000-00", "0000-0000-00", "<script>alert(1)</script>", "'; DROP TABLE purchase; --", "\x00\xff\xfe", "%00",
		strings.Repeat("7", 5000), strings.Repeat("K7M2-Q4XD-9T ", 400), strings.Repeat("é", 1500), "+999999999999999999999", "../../etc/passwd", "{{.Token}}"} {
		status, text := c.get("/search?q=" + url.QueryEscape(typed))
		if status != http.StatusNotFound || strings.Contains(text, "<script>alert") || !strings.Contains(text, "</html>") {
			t.Errorf("%.40q: %d %.300s", typed, status, text)
		}
	}
}

// A form that is not ours, or that says what cannot be, does nothing.
func TestConsoleRefusesHostileForms(t *testing.T) {
	s := startSite(t, nil)
	reference, another := s.bought(t, "+22670112254", 1050), s.bought(t, "+22670112255", 1050)
	awa, grace := s.clerk(t, "awa"), s.clerk(t, "grace")

	// Nothing is shown, and nothing done, before a reason was given.
	for _, path := range []string{"/customers/+22670112254", "/purchases/" + reference} {
		if status, text := awa.get(path); status != http.StatusOK || strings.Contains(text, "F CFA") {
			t.Errorf("%s without a reason: %d %s", path, status, text)
		}
	}
	awa.post("/purchases/"+reference+"/ask", url.Values{"kind": {"goodwill"}, "amount": {"100"}, "reason": {"x"}})
	awa.post("/customers/+22670112254/case", url.Values{"matter": {"other"}, "detail": {"x"}})
	for _, form := range []url.Values{{}, {"reason": {""}}, {"reason": {"because"}}, {"reason": {"other"}}, {"reason": {"call"}, "token": {"x"}}} {
		if status, _ := awa.post("/customers/+22670112254", form); status/100 != 4 {
			t.Errorf("a reason %v is taken: %d", form, status)
		}
	}
	if n := s.count(t, "look"); n != 0 {
		t.Errorf("%d looks were kept", n)
	}

	long := "call: " + strings.Repeat("é", 300)
	if status, to := awa.post("/customers/+22670112254", url.Values{"reason": {"other"}, "detail": {long}, "to": {"https://evil.example/"}}); status != http.StatusSeeOther || to != "/" {
		t.Errorf("a reason leads to %d %s", status, to)
	}
	grace.admitted("+22670112254")
	for what, try := range map[string]struct {
		of   *clerk
		path string
		form url.Values
	}{
		"another's purchase in a case":     {awa, "/customers/+22670112254/case", url.Values{"matter": {"other"}, "detail": {"x"}, "about": {another}}},
		"another's purchase in a callback": {awa, "/customers/+22670112254/callback", url.Values{"window": {"1"}, "reason": {"x"}, "about": {another}}},
		"no such matter":                   {awa, "/customers/+22670112254/case", url.Values{"matter": {"pending_credit"}, "detail": {"x"}}},
		"no such window":                   {awa, "/customers/+22670112254/callback", url.Values{"window": {"-1"}, "reason": {"x"}}},
		"no such kind":                     {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"everything"}, "reason": {"x"}}},
		"no reason":                        {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {"100"}}},
		"no amount":                        {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {"-0"}, "reason": {"x"}}},
		"too much":                         {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {"99999999"}, "reason": {"x"}}},
		"beyond all numbers":               {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {strings.Repeat("9", 40)}, "reason": {"x"}}},
		"another's token":                  {awa, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {"100"}, "reason": {"x"}, "token": {grace.token}}},
		"an auditor asks":                  {grace, "/purchases/" + reference + "/ask", url.Values{"kind": {"goodwill"}, "amount": {"100"}, "reason": {"x"}}},
		"an auditor opens a case":          {grace, "/customers/+22670112254/case", url.Values{"matter": {"other"}, "detail": {"x"}}},
		"an agent decides":                 {awa, "/approvals", url.Values{"id": {"1"}, "version": {"1"}, "do": {"approve"}}},
		"an agent hires":                   {awa, "/staff", url.Values{"login": {"eve"}, "name": {"Eve"}, "role": {"administrator"}}},
		"a form without end":               {awa, "/customers/+22670112254/case", url.Values{"matter": {"other"}, "detail": {strings.Repeat("x", 8<<20)}}},
		"a number of nobody":               {awa, "/customers/12/case", url.Values{"matter": {"other"}, "detail": {"x"}}},
	} {
		if status, text := try.of.post(try.path, try.form); status/100 != 4 {
			t.Errorf("%s: %d %.400s", what, status, text)
		}
	}
	for _, table := range []string{"case_file", "request", "callback"} {
		if n := s.count(t, table); n != 0 {
			t.Errorf("%d rows of %s were made", n, table)
		}
	}
	if n := s.count(t, "staff WHERE login = 'eve'"); n != 0 {
		t.Error("an agent hired somebody")
	}
}
