package against

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"tenu/internal/purchase"
)

// sale is one customer's wish and what became of it. Its once never changes: a repetition
// is the same purchase.
type sale struct {
	at   time.Duration // on the scenario's clock
	once string
	wish wish

	refused  purchase.Instant // by the pause; zero: not
	answered bool
	bought   bought // as it was read last
	read     bool   // to its end, with its timeline
}

// open reports whether something of it may still change.
func (s *sale) open() bool { return s.refused == 0 && (!s.answered || !s.bought.settled()) }

// The pace of waiting: between repetitions, and between two looks at what is open.
const (
	againAfter = 500 * time.Millisecond
	againFor   = 2 * time.Minute
	lookEvery  = time.Second
)

// play makes the sales and has the partners fail at their times, and then waits until all are
// settled, or for as long as is to be waited. An error means that no more can be measured.
func (g *game) play(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	for _, f := range g.plan.always {
		if err := f.begin(ctx); err != nil {
			return err
		}
	}
	g.began = g.Clock.Now()
	queue := make(chan *sale, len(g.sales))
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for s := range queue {
				if err := g.sell(ctx, s); err != nil {
					cancel(err)
				}
			}
		})
	}
	err := g.events(ctx, queue)
	close(queue)
	all.Wait()
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	g.ended = g.Clock.Now()
	g.say("%s: the sales have ended; waiting until all are settled", g.clock(g.ended))
	return g.wait(ctx)
}

// events lets everything begin at its time.
func (g *game) events(ctx context.Context, queue chan<- *sale) error {
	turns, sales := g.plan.turns, g.sales
	end := g.s.Script.Ends
	if n := len(turns); n > 0 {
		end = max(end, turns[n-1].at)
	}
	for len(turns)+len(sales) > 0 {
		if len(turns) > 0 && (len(sales) == 0 || turns[0].at <= sales[0].at) {
			if err := g.until(ctx, turns[0].at); err != nil {
				return err
			}
			if err := g.turn(ctx, &turns[0]); err != nil {
				return err
			}
			turns = turns[1:]
			continue
		}
		if err := g.until(ctx, sales[0].at); err != nil {
			return err
		}
		queue <- &sales[0] // it has room for all
		sales = sales[1:]
	}
	return g.until(ctx, end)
}

// turn makes a partner fail, or work again.
func (g *game) turn(ctx context.Context, t *turn) error {
	name := t.what.of.deployed.Name
	if !t.begins {
		g.say("%s: %s works again", g.clock(g.Clock.Now()), name)
		return t.what.end(ctx)
	}
	g.say("%s: %s fails", g.clock(g.Clock.Now()), name)
	return t.what.begin(ctx)
}

// until waits for a time of the scenario's clock.
func (g *game) until(ctx context.Context, at time.Duration) error {
	wait := time.Duration(float64(at)/g.Speed) - g.Clock.Now().Sub(g.began)
	if wait <= 0 {
		return cause(ctx)
	}
	return g.pause(ctx, wait)
}

func (g *game) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return cause(ctx)
	case <-g.Clock.After(d):
		return nil
	}
}

func cause(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return context.Cause(ctx)
}

// sell makes one sale. What the deployment could not answer is asked again with the same
// key; an error is about a wish that no customer could have.
func (g *game) sell(ctx context.Context, s *sale) error {
	began := g.Clock.Now()
	for {
		var b bought
		err := g.api.call(ctx, http.MethodPost, "/v1/purchases", s.once, &s.wish, &b)
		now := g.Clock.Now()
		var p *problem
		switch {
		case err == nil:
			s.answered, s.bought = true, b
			return nil
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the drill is over, whatever was answered
		case errors.As(err, &p) && p.Code == "product_paused":
			s.refused = now
			return nil
		case errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests:
			return fmt.Errorf("sell %s: %w", s.wish.Product, p)
		case now.Sub(began) > againFor:
			return nil // it counts as never answered
		}
		wait := againAfter
		if p != nil && p.RetryAfter > 0 {
			wait = time.Duration(min(p.RetryAfter, 30)) * time.Second
		}
		if err := g.pause(ctx, wait); err != nil {
			return nil //nolint:nilerr // the game is over: it counts as never answered
		}
	}
}

// wait looks at what is open until nothing is, or for as long as is to be waited. Each look
// reads no more than the rate allows, one after the other.
func (g *game) wait(ctx context.Context) error {
	limit := g.ended.Add(g.Within)
	for next := 0; ; {
		var open []*sale
		for i := range g.sales {
			if s := &g.sales[i]; s.open() && s.answered {
				open = append(open, s)
			}
		}
		now := g.Clock.Now()
		switch {
		case len(open) == 0:
			g.settled = now
			return nil
		case now >= limit:
			g.say("%s: %d purchases are not settled after %s", g.clock(now), len(open), g.Within)
			return nil
		}
		var look []*sale
		for range min(g.Rate, len(open)) {
			look = append(look, open[next%len(open)])
			next++
		}
		if err := g.look(ctx, look); err != nil {
			return err
		}
		if err := g.pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// look reads purchases, each with its timeline.
func (g *game) look(ctx context.Context, sales []*sale) error {
	queue := make(chan *sale, len(sales))
	for _, s := range sales {
		queue <- s
	}
	close(queue)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for i := range workers {
		all.Go(func() {
			for s := range queue {
				var b bought
				err := g.api.call(ctx, http.MethodGet, "/v1/purchases/"+url.PathEscape(s.bought.Reference), "", nil, &b)
				var p *problem
				switch {
				case err == nil:
					s.bought, s.read = b, true
				case errors.As(err, &p) && p.Status < http.StatusInternalServerError && p.Status != http.StatusTooManyRequests:
					errs[i] = fmt.Errorf("read purchase %s: %w", s.bought.Reference, p)
				default: // it is asked again
				}
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// all reads every purchase once more, at the rate.
func (g *game) all(ctx context.Context) error {
	var rest []*sale
	for i := range g.sales {
		if s := &g.sales[i]; s.answered {
			s.read = false
			rest = append(rest, s)
		}
	}
	limit := g.Clock.Now().Add(againFor + time.Duration(len(rest)/g.Rate)*lookEvery)
	for len(rest) > 0 {
		n := min(g.Rate, len(rest))
		if err := g.look(ctx, rest[:n]); err != nil {
			return err
		}
		var left []*sale
		for _, s := range rest {
			if !s.read {
				left = append(left, s)
			}
		}
		if rest = left; len(rest) == 0 {
			break
		}
		if g.Clock.Now() > limit {
			return fmt.Errorf("read what became of the purchases: the deployment does not answer about %d of them", len(rest))
		}
		if err := g.pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	return nil
}

// clock is an instant as the scenario's clock shows it.
func (g *game) clock(at purchase.Instant) string {
	return g.scenario(at).Time().In(g.s.Script.Location).Format("15:04:05")
}
