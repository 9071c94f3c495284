package bench

import (
	"context"
	"fmt"
	"strconv"

	"tenu/internal/purchase"
)

// tally is how many purchases were made, and of those charged and credited.
type tally struct{ made, charged, credited int64 }

// holds returns an error unless the database holds the rows of so many purchases
// whose numbers are above after and not above last. It shows what is lost in a
// store that is too large to be verified as a whole.
func (d *database) holds(ctx context.Context, after, last purchase.ID, t tally) error {
	return d.bare(ctx, func(p past) error {
		for _, of := range []struct {
			rows, number string
			wanted       int64
		}{
			{"purchase WHERE version >= 1", "id", t.made},
			{"purchase WHERE state = 3", "id", t.credited},
			{"attempt WHERE leg = 1 AND try = 1", "purchase", t.made},
			{"attempt WHERE leg = 2 AND try = 1", "purchase", t.charged},
			{"posting WHERE leg = 1", "purchase", t.charged},
			{"posting WHERE leg = 2", "purchase", 2 * t.credited}, // one is the fee
			{"notice WHERE fact = 1", "purchase", t.credited},
		} {
			n, err := p.number(ctx, fmt.Sprintf(`SELECT count(*) AS n FROM %s AND %s > %d AND %[2]s <= %[4]d`, of.rows, of.number, after, last))
			if err != nil {
				return fmt.Errorf("count %s: %w", of.rows, err)
			}
			if n != of.wanted {
				return fmt.Errorf("%d rows are kept of %s, not %d", n, of.rows, of.wanted)
			}
		}
		return nil
	})
}

// newest is the highest number of a purchase that is stored, 0 when none is.
func (d *database) newest(ctx context.Context) (id purchase.ID, err error) {
	err = d.bare(ctx, func(p past) error {
		n, err := p.number(ctx, `SELECT coalesce(max(id), 0) AS n FROM purchase`)
		id = purchase.ID(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find the newest purchase: %w", err)
	}
	return id, nil
}

// number runs a query that selects one number.
func (p past) number(ctx context.Context, query string) (int64, error) {
	found, err := p.pairs(ctx, `SELECT '', CAST(n AS TEXT) FROM (`+query+`) AS q`)
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d rows, not one number", len(found))
	}
	return strconv.ParseInt(found[0][1], 10, 64)
}
