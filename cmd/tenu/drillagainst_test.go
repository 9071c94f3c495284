package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tenu/internal/drill"
	"tenu/internal/drill/against"
	"tenu/internal/sandbox"
)

// outage is a day on which the charging system gives nothing for three minutes.
const outage = `title: {fr: "Panne", en: "Outage"}
begins: "2024-07-09 10:00"
ends: "10:05"
purchases: 400
customers: 300
partners:
  - {name: wallet, role: payer, declines: 3%}
  - {name: charging, role: provider}
windows:
  - partner: charging
    from: "10:01"
    till: "10:04"
    faults: {dropped: 50%, reply_lost: 20%, accepted: 10%}
    late: 1m-4m
`

// calm is one on which nothing fails.
const calm = `title: {fr: "Calme", en: "Calm"}
begins: "2024-07-09 10:00"
ends: "10:01"
purchases: 30
`

// refusing is one on which the charging system refuses everything.
const refusing = calm + `windows:
  - {partner: charging, from: "10:00", till: "10:01", faults: {refused_once: 100%}}
`

// quick is a test deployment that is quick to see and to settle.
func quick(text string) string {
	text = strings.Replace(text, "deliver_within: 20s", "deliver_within: 2s", 1)
	text = strings.Replace(text, "retry_most: 15s", "retry_most: 2s", 1)
	return text + "incidents: {expected: 1s, canaries: [{number: \"70 00 00 01\", operator: moov}]}\n"
}

// scenarioFile writes a scenario.
func scenarioFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "day.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// drillAgainst runs the command, and returns what it printed.
func (s *site) drillAgainst(t *testing.T, scenario string, args ...string) (code int, r against.Result, stderr string) {
	t.Helper()
	env := func(name string) string { return map[string]string{"TENU_KEY": s.remote.Key}[name] }
	code, stdout, stderr := tenu(t, env, append([]string{"drill", scenarioFile(t, scenario), "--json", "--against", s.remote.URL}, args...)...)
	if stdout != "" {
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v: %s", err, stdout)
		}
	}
	return code, r, stderr
}

// A real outage of the charging system under a real deployment, played from outside: it is seen, sales
// stop, everybody is settled, and the books agree with what the deployment says.
func TestDrillAgainst(t *testing.T) {
	s := startSite(t, quick)
	code, r, stderr := s.drillAgainst(t, outage, "--speed", "8", "--within", "3m")
	if code != exitDone {
		t.Fatalf("%d: %s", code, stderr)
	}
	if r.Purchases != 400 || r.Charged < 50 || r.Charged != r.Credited+r.Refunded || r.Unsettled != 0 || r.DoubleCredits != 0 || r.DoubleRefunds != 0 || r.ConfirmedWithoutCredit != 0 || !r.Totals.Agree || len(r.Findings) != 0 {
		t.Errorf("%+v", r)
	}
	if r.DetectedAfter == nil || r.PausedAfter == nil || *r.DetectedAfter > 60 || *r.PausedAfter > 75 || r.DeclinedBeforeCharge == 0 || len(r.Totals.Incidents) != 1 || r.FirstFailure == "" || r.SettledAt == "" {
		t.Errorf("it was not seen, or not paused: %+v", r)
	}
	if r.Violations != nil || r.CallbacksKept != nil || len(r.Unobserved) == 0 {
		t.Errorf("what nobody sees is told: %+v", r)
	}
	t.Logf("charged %d, refunded %d, refused %d, seen after %.1f s, paused after %.1f s, settled p99 %.1f s", r.Charged, r.Refunded, r.DeclinedBeforeCharge, *r.DetectedAfter, *r.PausedAfter, *r.SettleP99)
	// The database agrees with what was seen from outside, and nothing is left failing.
	if n := s.count(t, "purchase WHERE charged_at <> 0 AND payer = 'wallet'"); n != r.Charged {
		t.Errorf("%d charged, seen %d", n, r.Charged)
	}
	at := s.sandbox.addresses()
	for _, partner := range []string{at.Wallet, at.Charging, at.SMS} {
		var left struct{ Faults []sandbox.Fault }
		if body := fetch(t, partner+"/faults"); json.Unmarshal(body, &left) != nil || len(left.Faults) != 0 {
			t.Errorf("left on: %s", body)
		}
	}
}

// fetch reads an address.
func fetch(t *testing.T, address string) []byte {
	t.Helper()
	response, err := http.Get(address) //nolint:noctx,gosec // of the loopback
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The JSON has every key of a private drill's, and more.
func TestDrillAgainstKeys(t *testing.T) {
	keys := func(v any) map[string]any {
		text, err := json.Marshal(v)
		all := map[string]any{}
		if err == nil {
			err = json.Unmarshal(text, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	private, seen := keys(drill.Result{FirstFailure: "x", SettledAt: "x"}), keys(against.Result{FirstFailure: "x", SettledAt: "x"})
	for _, of := range []struct{ private, seen map[string]any }{{private, seen}, {keys(drill.Totals{}), keys(against.Totals{})}} {
		for key := range of.private {
			if _, has := of.seen[key]; !has {
				t.Errorf("%q is missing", key)
			}
		}
	}
}

// A credit that is in the book twice is found, though the deployment knows nothing of it.
func TestDrillAgainstFindsDouble(t *testing.T) {
	s := startSite(t, quick)
	book := s.sandbox.servers[chargingAt].Book()
	planting, stop := context.WithCancel(t.Context())
	planted := make(chan sandbox.Movement, 1)
	go func() {
		defer close(planted)
		for planting.Err() == nil {
			all, err := book.Movements(planting, 0, 10)
			if err == nil && len(all) > 0 {
				m := all[0]
				if book.Do(planting, func(p *sandbox.Page) error { return p.AddMovement(&m) }) == nil {
					planted <- m
				}
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	code, r, stderr := s.drillAgainst(t, calm, "--speed", "20")
	stop()
	m, ok := <-planted
	if !ok {
		t.Fatal("nothing was planted")
	}
	if code != exitFailed || r.DoubleCredits != 1 || r.Totals.Agree || r.Unsettled != 0 || len(r.Findings) != 1 || !strings.Contains(stderr, "1 credited twice") {
		t.Errorf("%d, planted %+v: %+v: %s", code, m, r, stderr)
	}
}

// A deployment that says "credited" of what was given back is found out by the books.
func TestDrillAgainstFindsLie(t *testing.T) {
	s := startSite(t, quick)
	target, err := url.Parse(s.remote.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Header.Del("Accept-Encoding") },
		ModifyResponse: func(r *http.Response) error {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			body = bytes.ReplaceAll(body, []byte(`"state":"refunded"`), []byte(`"state":"credited"`))
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.ContentLength = int64(len(body))
			r.Header.Set("Content-Length", strconv.Itoa(len(body)))
			return r.Body.Close()
		},
	}
	liar := httptest.NewServer(proxy)
	defer liar.Close()
	honest := s.remote.URL
	s.remote.URL = liar.URL
	code, r, stderr := s.drillAgainst(t, refusing, "--speed", "15", "--purchases", "20", "--within", "1m")
	s.remote.URL = honest
	if code != exitFailed || r.Charged == 0 || r.ConfirmedWithoutCredit == 0 || r.ConfirmedWithoutCredit > r.Charged || r.Totals.Agree || !strings.Contains(stderr, "confirmed without credit") {
		t.Errorf("%d: %+v: %s", code, r, stderr)
	}
}

// Whatever is wrong is said before anything is done.
func TestDrillAgainstRefusals(t *testing.T) {
	s := startSite(t, quick)
	run := func(scenario string, change func(env map[string]string), args ...string) (int, string) {
		env := map[string]string{"TENU_KEY": s.remote.Key}
		if change != nil {
			change(env)
		}
		code, _, stderr := tenu(t, func(name string) string { return env[name] }, append([]string{"drill", scenarioFile(t, scenario)}, args...)...)
		return code, stderr
	}
	nobody := httptest.NewServer(http.NotFoundHandler())
	nobody.Close()
	silent := httptest.NewServer(http.NotFoundHandler())
	defer silent.Close()
	here := s.remote.URL
	for name, bad := range map[string]struct {
		scenario string
		change   func(map[string]string)
		args     []string
		want     string
	}{
		"unreachable":      {calm, nil, []string{"--against", nobody.URL}, "connection refused"},
		"no address":       {calm, nil, []string{"--against", "here"}, "is not the address of a deployment's API"},
		"wrong key":        {calm, func(env map[string]string) { env["TENU_KEY"] += "x" }, []string{"--against", here}, "does not know the API key"},
		"no key":           {calm, func(env map[string]string) { env["TENU_KEY"] = "" }, []string{"--against", here}, "set TENU_KEY"},
		"something else":   {calm, nil, []string{"--against", silent.URL}, "does not say what it is: not a test deployment"},
		"product":          {calm, nil, []string{"--against", here, "--product", "moonshine"}, `sells no product "moonshine"; it sells airtime`},
		"fault":            {strings.Replace(outage, "dropped", "no_connection", 1), nil, []string{"--against", here, "--speed", "8"}, "day.yaml:13: windows[0].faults.no_connection: the sandbox's ocs (provider) has no such fault"},
		"trouble":          {calm + "troubles: [{at: \"10:00\", what: stopped}]\n", nil, []string{"--against", here}, `day.yaml:5: troubles[0].what: a deployment cannot be made to suffer "stopped"`},
		"a second payer":   {calm + "partners: [{name: a, role: payer}, {name: b, role: payer, share: 5%}, {name: c, role: provider}]\n", nil, []string{"--against", here}, "day.yaml:5: partners[1].name: the deployment has no payer to play \"b\""},
		"too fast":         {outage, nil, []string{"--against", here, "--speed", "100"}, "day.yaml:12: windows[0].till: at --speed 100 it lasts 1.8s. The deployment's clock is real: it needs 3s"},
		"too late":         {strings.Replace(outage, "1m-4m", "1m-90m", 1), nil, []string{"--against", here, "--speed", "8"}, "day.yaml:14: windows[0].late: at --speed 8 it is up to 11m15s, later than the deployment's ocs promises (1m0s)"},
		"too many":         {outage, nil, []string{"--against", here, "--speed", "8", "--purchases", "9000"}, "fewer --purchases, or a lower --speed"},
		"speed alone":      {outage, nil, []string{"--speed", "8"}, "are of --against"},
		"as it was":        {outage, nil, []string{"--against", here, "--as-it-was"}, "without --against"},
		"backwards":        {outage, nil, []string{"--against", here, "--speed", "0.5"}, "the speed must be between 1 and"},
		"scenario's error": {strings.Replace(outage, "10:04", "10:00", 1), nil, []string{"--against", here}, "day.yaml:12: windows[0].till"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, stderr := run(bad.scenario, bad.change, bad.args...); code == exitDone || !strings.Contains(stderr, bad.want) {
				t.Errorf("%d: %s, want %s", code, stderr, bad.want)
			}
		})
	}
	t.Run("faults already", func(t *testing.T) {
		s.fault(t, s.sandbox.addresses().Wallet, `{"operation":"charge","kind":"lose_reply","rate":0.5}`)
		if code, stderr := run(calm, nil, "--against", here); code != exitFailed || !strings.Contains(stderr, "wallet has faults switched on already (charge lose_reply)") {
			t.Errorf("%d: %s", code, stderr)
		}
	})
	if n := s.count(t, "purchase"); n != 0 {
		t.Errorf("%d purchases were made", n)
	}
}

// Nothing but a declared test deployment with sandbox partners is touched.
func TestDrillAgainstRealDeployment(t *testing.T) {
	bank := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(bank.Close)
	for name, c := range map[string]struct {
		adapt func(string) string
		want  string
	}{
		"not declared": {func(text string) string {
			return strings.Replace(text, "test_deployment: true", "test_deployment: false", 1)
		},
			"does not declare itself a test deployment"},
		"a partner that is no sandbox": {func(text string) string {
			at := strings.Index(text, "name: ocs\n    url: ") + len("name: ocs\n    url: ")
			return text[:at] + bank.URL + text[at+strings.Index(text[at:], "\n"):]
		}, "does not answer as a sandbox"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSite(t, c.adapt)
			code, _, stderr := s.drillAgainst(t, calm)
			if code != exitFailed || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "nothing was done") {
				t.Errorf("%d: %s", code, stderr)
			}
			if n := s.count(t, "purchase"); n != 0 {
				t.Errorf("%d purchases were made", n)
			}
		})
	}
}
