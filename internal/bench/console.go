package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// desks is how many agents are at work at once.
const desks = 200

// rounds is how often every agent's customer buys while its screen is open.
const rounds = 2

// Console measures what an agent waits for: the screen of a customer, in a store that
// holds very many purchases and a case for every tenth of them, and what is sold to
// a customer whose screen is open, until the screen shows it. As many agents are
// connected as a large centre has, and sales go on.
func (f *Filled) Console(ctx context.Context) (s Sample, err error) {
	if err := f.stock(ctx); err != nil {
		return s, err
	}
	n, err := f.db.serve(ctx, NewPartner("wallet", Prompt), NewPartner("ocs", Prompt))
	if err != nil {
		return s, err
	}
	defer n.quit(&err)
	agents, err := n.hire(ctx, desks)
	if err != nil {
		return s, err
	}
	defer func() {
		for _, a := range agents {
			a.http.CloseIdleConnections()
		}
	}()
	over, sold := make(chan struct{}), make(chan error, 1)
	load := n.load()
	go func() {
		m := f.mix()
		_, err := f.bed.arrive(&arrivals{perSecond: float64(f.bed.Size.Sales), until: over},
			func(i int) error { return n.settle(ctx, m.request(load, i)) })
		sold <- err
	}()
	defer func() { err = errors.Join(err, <-sold) }()
	defer close(over)

	var streams sync.WaitGroup
	defer streams.Wait()
	looking, leave := context.WithCancel(ctx)
	defer leave()
	first, err := f.screens(ctx, agents)
	if err != nil {
		return s, err
	}
	for i, a := range agents {
		if err := a.follow(looking, &streams, f.heldBy(i)); err != nil {
			return s, err
		}
	}
	told, shown, err := f.follow(ctx, n, agents)
	if err != nil {
		return s, err
	}
	s.Add("stored", "purchases", float64(f.stored), "")
	s.Add("cases", "cases", float64(f.cases()), "")
	s.Add("agents connected", "agents", float64(len(agents)), "")
	s.Add("sales arriving meanwhile", "purchases/s", float64(f.bed.Size.Sales), "")
	for _, each := range []struct {
		name  string
		times []time.Duration
	}{{"screen of a customer", first}, {"sold until told", told}, {"sold until shown", shown}} {
		for _, share := range []int{50, 95, 99, 100} {
			s.Add(fmt.Sprintf("%s, p%d", each.name, share), "ms", milliseconds(quantile(each.times, float64(share)/100)), "")
		}
	}
	return s, nil
}

// cases is how many cases the store is filled with.
func (f *Filled) cases() int { return f.bed.Size.Stored / 10 }

// stock fills the store, if it is not, and adds a case for every tenth purchase: of a
// hundred one is open, and the others are settled.
func (f *Filled) stock(ctx context.Context) error {
	if f.stocked {
		return nil
	}
	if f.db == nil {
		if err := f.open(ctx); err != nil {
			return err
		}
		if err := f.grow(ctx, f.bed.Size.Stored); err != nil {
			return err
		}
	}
	err := f.db.bare(ctx, func(p past) error {
		const chunk = 50_000
		for from := 0; from < f.cases(); from += chunk {
			for _, text := range f.texts(caseTexts, from, min(chunk, f.cases()-from)) {
				if err := p.run(ctx, text); err != nil {
					return fmt.Errorf("fill in cases: %w", err)
				}
			}
		}
		if f.bed.Store == "postgres" {
			return p.run(ctx, `VACUUM (ANALYZE) case_file, case_entry`)
		}
		return p.run(ctx, `ANALYZE`)
	})
	f.stocked = err == nil
	return err
}

// caseTexts fill in the cases of the purchases {from} to {till}, each tenth's.
var caseTexts = []string{
	`{cases} INSERT INTO case_file (version, number, purchase, owner, owner_till, opened_at, answer_by, resolve_by, paused_at, answered_at,
		treated_at, due_at, closed_at, changed_at, merged_into, status, outcome, prefer, level, reopened, code, matters, rule, incident, channel, language, digest)
		SELECT 2, number, id, 0, 0, at, at + 8640000000000, at + 8640000000000, 0, at, at,
		CASE WHEN i % 100 = 0 THEN at + 8640000000000 ELSE 0 END, CASE WHEN i % 100 = 0 THEN 0 ELSE at + 60000000 END, at, 0,
		CASE WHEN i % 100 = 0 THEN 1 ELSE 3 END, CASE WHEN i % 100 = 0 THEN 0 ELSE 1 END, 0, 0, 0, 'P04', 'not_received', '', '', 'app', 'fr', '' FROM r`,
	`{cases} INSERT INTO case_entry (case_id, seq, at, staff, by_kind, by_name, event, text)
		SELECT f.id, 1, r.at, 0, 1, '', 'opened', 'not_received' FROM r JOIN case_file f ON f.purchase = r.id AND f.purchase <> 0 AND f.merged_into = 0 UNION ALL
		SELECT f.id, 2, f.closed_at, 0, 1, '', 'settled', '' FROM r JOIN case_file f ON f.purchase = r.id AND f.purchase <> 0 AND f.merged_into = 0 WHERE f.closed_at <> 0 ORDER BY 1, 2`,
}

// caseRows are what differs from one case that is filled in to the next. They are of
// one purchase of every ten, so that every customer has some.
const caseRows = `WITH RECURSIVE s AS ({series}), r AS (SELECT i, {first} + i * 10 + i % 10 AS id,
	22670000000 + (i * 10 + i % 10) * 2654435761 % {customers} AS number, {began} + i * 10 * {step} AS at FROM s)`

// heldBy is the customer that the i-th agent speaks with.
func (f *Filled) heldBy(i int) purchase.MSISDN { return numberOf(f.customers()-1-i, f.customers()) }

// screens opens screens of customers, by as many agents at a time as look things up
// elsewhere, and returns how long each took from the click to the last byte, ascending.
func (f *Filled) screens(ctx context.Context, agents []*agent) ([]time.Duration, error) {
	f.looks++
	draw := chance(f.looks)
	times := make([]time.Duration, f.bed.Size.Lookups)
	free := make(chan *agent, len(agents))
	for _, a := range agents {
		free <- a
	}
	err := each(len(times), lookers, func(i int) error {
		a := <-free
		defer func() { free <- a }()
		number := numberOf(draw(f.stored), f.customers())
		if err := a.ask(ctx, number); err != nil {
			return err
		}
		from := f.bed.Clock.Now()
		_, err := a.show(ctx, number)
		times[i] = f.bed.Clock.Now().Sub(from)
		return err
	})
	slices.Sort(times)
	return times, err
}

// follow sells to each agent's customer in turn, and returns how long it took from the
// sale until the agent's browser was told first, and until its screen showed that the
// purchase is credited, ascending.
func (f *Filled) follow(ctx context.Context, n *server, agents []*agent) (told, shown []time.Duration, err error) {
	m, load := f.mix(), n.load()
	told, shown = make([]time.Duration, rounds*len(agents)), make([]time.Duration, rounds*len(agents))
	one := func(i int) error {
		a, number := agents[i%len(agents)], f.heldBy(i%len(agents))
		a.forget()
		r := m.request(load, i)
		r.PayerNumber, r.Recipient = number, number
		from := f.bed.Clock.Now()
		id, err := n.node.buy(ctx, r)
		if err != nil {
			return err
		}
		reference := f.db.keys.Reference(id).String()
		for {
			select {
			case <-a.told:
			case <-f.bed.Clock.After(time.Minute):
				return errors.New("an agent was not told of a sale")
			case <-ctx.Done():
				return ctx.Err()
			}
			if told[i] == 0 {
				told[i] = f.bed.Clock.Now().Sub(from)
			}
			body, err := a.show(ctx, number)
			if err != nil {
				return err
			}
			if _, row, found := strings.Cut(body, reference); found && strings.Contains(row[:strings.Index(row, "</tr>")], "Crédité") {
				shown[i] = f.bed.Clock.Now().Sub(from)
				return nil
			}
		}
	}
	if err := each(len(told), lookers, one); err != nil {
		return nil, nil, err
	}
	slices.Sort(told)
	slices.Sort(shown)
	return told, shown, nil
}

// agent is a browser of the console with somebody signed in.
type agent struct {
	at    string
	http  http.Client
	token string        // of forms
	told  chan struct{} // that the screen changed
}

// hire makes accounts for so many agents and signs them in.
func (s *server) hire(ctx context.Context, count int) ([]*agent, error) {
	password, err := s.served.Hire(ctx, count)
	if err != nil {
		return nil, fmt.Errorf("hire agents: %w", err)
	}
	agents := make([]*agent, count)
	err = each(count, lookers, func(i int) error {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		a := &agent{at: "http://" + s.served.Console, told: make(chan struct{}, 1)}
		a.http.Jar = jar
		a.http.Transport = &http.Transport{MaxIdleConnsPerHost: 2, DisableCompression: true}
		a.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		agents[i] = a
		if _, _, err := a.do(ctx, "/signin", nil); err != nil {
			return err
		}
		form := url.Values{"login": {AgentLogin(i)}, "password": {password}}
		if status, _, err := a.do(ctx, "/signin", form); err != nil || status != http.StatusSeeOther {
			return errors.Join(err, fmt.Errorf("agent %d is not signed in: %d", i, status))
		}
		_, _, err = a.do(ctx, "/calls", nil)
		return err
	})
	return agents, err
}

// AgentLogin is the login of the i-th agent.
func AgentLogin(i int) string { return fmt.Sprintf("agent%d", i) }

var formToken = regexp.MustCompile(`name="token" value="([^"]+)"`)

// do gets a page, or sends a form.
func (a *agent) do(ctx context.Context, path string, form url.Values) (status int, body string, err error) {
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if form != nil {
		form.Set("token", a.token)
		method, content = http.MethodPost, strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, a.at+path, content)
	if err != nil {
		return 0, "", err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := a.http.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", fmt.Errorf("read page: %w", err)
	}
	if found := formToken.FindSubmatch(page); found != nil {
		a.token = string(found[1])
	}
	return response.StatusCode, string(page), nil
}

// ask gives the reason for looking at a customer.
func (a *agent) ask(ctx context.Context, number purchase.MSISDN) error {
	path := "/customers/" + number.String()
	status, body, err := a.do(ctx, path, url.Values{"reason": {"call"}, "to": {path}})
	if err == nil && status != http.StatusSeeOther {
		err = fmt.Errorf("no reason to look at a customer is taken: %d %.200s", status, body)
	}
	return err
}

// show opens the screen of a customer who bought something.
func (a *agent) show(ctx context.Context, number purchase.MSISDN) (body string, err error) {
	status, body, err := a.do(ctx, "/customers/"+number.String(), nil)
	if err == nil && (status != http.StatusOK || !strings.Contains(body, `href="/purchases/`)) {
		err = fmt.Errorf("no screen of a customer: %d %.200s", status, body)
	}
	return body, err
}

// forget forgets what the browser was told before.
func (a *agent) forget() {
	select {
	case <-a.told:
	default:
	}
}

// follow opens a customer's screen with its stream, until ctx ends.
func (a *agent) follow(ctx context.Context, streams *sync.WaitGroup, number purchase.MSISDN) error {
	if err := a.ask(ctx, number); err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.at+"/live?what="+url.QueryEscape("customer/"+number.String()), nil)
	if err != nil {
		return err
	}
	response, err := a.http.Do(r)
	if err != nil {
		return fmt.Errorf("open a stream: %w", err)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		_ = response.Body.Close()
		return fmt.Errorf("no stream but %d %s", response.StatusCode, kind)
	}
	streams.Go(func() {
		defer func() { _ = response.Body.Close() }()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			if lines.Text() == "event: changed" {
				select {
				case a.told <- struct{}{}:
				default: // it was told and has not looked yet
				}
			}
		}
	})
	return nil
}
