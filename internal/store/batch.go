package store

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"tenu/internal/purchase"
)

// batch is what a committer knows of the changes that it was given: which are
// tried now, which wait for one of those because both cannot be written, and
// which are settled.
type batch struct {
	changes  []purchase.Change
	verdicts []purchase.Verdict // Result 0: not settled
	chosen   []int
	blocked  []block
	ids      map[purchase.ID]int
	keys     map[clientKey]int
	likes    map[likeness]int
}

// block is a change that cannot be written together with an earlier one.
type block struct {
	change, by int
	why        purchase.Result
}

type clientKey struct{ client, key string }

// likeness is what a repeat has in common with the purchase that it repeats.
type likeness struct {
	payer, recipient purchase.MSISDN
	product          string
	total            int64
}

func fresh(c *purchase.Change) bool { return c.Now.Version == 1 }

func keyOf(p *purchase.Purchase) clientKey { return clientKey{clean(p.Client), clean(p.ClientKey)} }

func likenessOf(p *purchase.Purchase) likeness {
	return likeness{p.PayerNumber, p.Recipient, clean(p.Product), p.Total}
}

func (b *batch) begin(changes []purchase.Change) {
	b.changes = changes
	b.verdicts = make([]purchase.Verdict, len(changes))
	if b.ids == nil {
		b.ids, b.keys, b.likes = map[purchase.ID]int{}, map[clientKey]int{}, map[likeness]int{}
	}
}

// choose picks the unsettled changes that can be written together. Where two
// cannot, the first is tried and the other waits for what becomes of it.
func (b *batch) choose() {
	b.chosen, b.blocked = b.chosen[:0], b.blocked[:0]
	clear(b.ids)
	clear(b.keys)
	clear(b.likes)
	for i := range b.changes {
		if b.verdicts[i].Result != 0 {
			continue
		}
		if by, why := b.conflict(&b.changes[i]); why != 0 {
			b.blocked = append(b.blocked, block{i, by, why})
			continue
		}
		b.chosen = append(b.chosen, i)
		c := &b.changes[i]
		b.ids[c.Now.ID] = i
		if fresh(c) {
			b.keys[keyOf(&c.Now)] = i
			b.remember(i)
		}
	}
	slices.SortFunc(b.chosen, byID(b.changes))
}

// remember keeps the latest of the chosen purchases that are alike.
func (b *batch) remember(i int) {
	p := &b.changes[i].Now
	if p.State == purchase.Declined {
		return
	}
	like := likenessOf(p)
	if other, known := b.likes[like]; !known || b.changes[other].Now.CreatedAt <= p.CreatedAt {
		b.likes[like] = i
	}
}

// conflict finds a chosen change that c cannot be written together with.
func (b *batch) conflict(c *purchase.Change) (by int, why purchase.Result) {
	if by, same := b.ids[c.Now.ID]; same {
		if fresh(c) {
			return by, purchase.KeyTaken
		}
		return by, purchase.Stale
	}
	if !fresh(c) {
		return 0, 0
	}
	if by, same := b.keys[keyOf(&c.Now)]; same {
		return by, purchase.KeyTaken
	}
	if c.RepeatSince == 0 {
		return 0, 0
	}
	if by, like := b.likes[likenessOf(&c.Now)]; like && b.changes[by].Now.CreatedAt >= c.RepeatSince {
		return by, purchase.Repeat
	}
	return 0, 0
}

// settle gives a change its verdict.
func (b *batch) settle(i int, result purchase.Result, other purchase.ID) {
	b.verdicts[i] = purchase.Verdict{Result: result, Other: other}
}

// written settles the chosen changes.
func (b *batch) written() {
	for _, i := range b.chosen {
		b.settle(i, purchase.Written, 0)
	}
}

// settleBlocked settles the changes that the chosen ones, about to be
// committed, leave no room for. A repeat whose client key was taken before the
// batch was made before.
func (c *committer) settleBlocked(ctx context.Context) error {
	b := &c.batch
	var repeats []int
	like := map[int]purchase.Verdict{}
	for _, k := range b.blocked {
		switch k.why {
		case purchase.Repeat:
			like[k.change] = purchase.Verdict{Result: purchase.Repeat, Other: b.changes[k.by].Now.ID}
			repeats = append(repeats, k.change)
		case purchase.KeyTaken:
			b.settle(k.change, purchase.KeyTaken, b.changes[k.by].Now.ID)
		default:
			b.settle(k.change, k.why, 0)
		}
	}
	if len(repeats) == 0 {
		return nil
	}
	if _, err := c.settleTaken(ctx, repeats); err != nil {
		return err
	}
	for i, repeat := range like {
		if _, later := b.ids[b.verdicts[i].Other]; later || b.verdicts[i].Result == 0 {
			b.verdicts[i] = repeat // its key is free, or went to a later change of the batch
		}
	}
	return nil
}

// diagnose settles those chosen changes that do not fit what is stored, and
// returns how many.
func (c *committer) diagnose(ctx context.Context) (found int, err error) {
	b := &c.batch
	var created, updated []int
	for _, i := range b.chosen {
		if fresh(&b.changes[i]) {
			created = append(created, i)
		} else {
			updated = append(updated, i)
		}
	}
	for _, look := range []struct {
		at   func(context.Context, []int) (int, error)
		over []int
	}{{c.settleStale, updated}, {c.settleTaken, created}, {c.settleRepeats, created}} {
		if len(look.over) == 0 {
			continue
		}
		n, err := look.at(ctx, look.over)
		if err != nil {
			return 0, err
		}
		found += n
	}
	return found, nil
}

// settleStale settles changes whose purchase is not as they expect it.
func (c *committer) settleStale(ctx context.Context, over []int) (found int, err error) {
	b := &c.batch
	var ids, versions, epochs []int64
	for _, i := range over {
		w := &b.changes[i]
		ids, versions, epochs = append(ids, int64(w.Now.ID)), append(versions, w.Now.Version-1), append(epochs, w.WasEpoch)
	}
	matched := map[purchase.ID]bool{}
	err = c.query(ctx, func(rows pgx.Rows) error {
		var id purchase.ID
		err := rows.Scan(&id)
		matched[id] = true
		return err
	}, `SELECT p.id FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS v (id, version, epoch)
		JOIN purchase p ON p.id = v.id AND p.version = v.version AND p.epoch = v.epoch`, ids, versions, epochs)
	if err != nil {
		return 0, err
	}
	for _, i := range over {
		if !matched[b.changes[i].Now.ID] {
			b.settle(i, purchase.Stale, 0)
			found++
		}
	}
	return found, nil
}

// settleTaken settles new purchases whose number or client key exists.
func (c *committer) settleTaken(ctx context.Context, over []int) (found int, err error) {
	b := &c.batch
	var ids []int64
	var clients, keys []string
	for _, i := range over {
		p := &b.changes[i].Now
		key := keyOf(p)
		ids, clients, keys = append(ids, int64(p.ID)), append(clients, key.client), append(keys, key.key)
	}
	byID, byKey := map[purchase.ID]bool{}, map[clientKey]purchase.ID{}
	err = c.query(ctx, func(rows pgx.Rows) error {
		var id purchase.ID
		var key clientKey
		err := rows.Scan(&id, &key.client, &key.key)
		byID[id], byKey[key] = true, id
		return err
	}, `SELECT id, client, client_key FROM purchase WHERE id = ANY ($1)
		UNION SELECT p.id, p.client, p.client_key FROM unnest($2::text[], $3::text[]) AS v (client, client_key)
		JOIN purchase p ON p.client = v.client AND p.client_key = v.client_key`, ids, clients, keys)
	if err != nil {
		return 0, err
	}
	for _, i := range over {
		p := &b.changes[i].Now
		other, taken := byKey[keyOf(p)]
		if byID[p.ID] {
			other, taken = p.ID, true
		}
		if taken {
			b.settle(i, purchase.KeyTaken, other)
			found++
		}
	}
	return found, nil
}

// settleRepeats settles new purchases that repeat a recent one.
func (c *committer) settleRepeats(ctx context.Context, over []int) (found int, err error) {
	b := &c.batch
	for _, i := range over {
		w := &b.changes[i]
		if b.verdicts[i].Result != 0 || w.RepeatSince == 0 {
			continue
		}
		p := &w.Now
		var other *purchase.ID
		err := c.conn.QueryRow(ctx, `SELECT max(id) FROM purchase WHERE recipient = $1 AND created_at >= $2
			AND payer_number = $3 AND total = $4 AND product = $5 AND state <> 6`,
			int64(p.Recipient), int64(w.RepeatSince), int64(p.PayerNumber), p.Total, clean(p.Product)).Scan(&other)
		if err != nil {
			return 0, err
		}
		if other != nil {
			b.settle(i, purchase.Repeat, *other)
			found++
		}
	}
	return found, nil
}

func (c *committer) query(ctx context.Context, read func(pgx.Rows) error, text string, arguments ...any) error {
	rows, err := c.conn.Query(ctx, text, arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := read(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
