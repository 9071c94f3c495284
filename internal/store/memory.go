package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"tenu/internal/evidence"
	"tenu/internal/purchase"
)

// Memory is a purchase.Store that keeps nothing beyond its own life. It is for
// simulation, where volume matters, and keeps the log as they do. It passes the same conformance suite as the
// databases, refuses what they refuse, and forgets what they do not keep.
type Memory struct {
	mu      sync.Mutex
	records map[purchase.ID]*memoryRecord
	keys    map[[2]string]purchase.ID
	numbers map[purchase.MSISDN][]purchase.ID // by payer and recipient, oldest first
	open    map[int64]map[purchase.ID]bool    // by epoch
	leases  []purchase.Lease
	parked  []purchase.Parked
	unsent  []noticePlace
	seq     int64
	next    map[int]int64
	log     memoryLog
	*memoryCentre
}

// noticePlace finds a notice in a record.
type noticePlace struct {
	id purchase.ID
	at int
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{records: map[purchase.ID]*memoryRecord{}, keys: map[[2]string]purchase.ID{},
		numbers: map[purchase.MSISDN][]purchase.ID{}, next: map[int]int64{}, open: map[int64]map[purchase.ID]bool{},
		memoryCentre: newMemoryCentre()}
}

// Commit is purchase.Store. A change that breaks a rule fails it as it fails a Store's.
func (m *Memory) Commit(_ context.Context, epoch int64, changes []purchase.Change) ([]purchase.Verdict, error) {
	for i := range changes {
		if err := sound(&changes[i]); err != nil {
			return nil, fmt.Errorf("commit: %w", err)
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lease(epoch); l == nil || l.Fenced {
		return nil, purchase.ErrFenced
	}
	verdicts := make([]purchase.Verdict, len(changes))
	undo := make([]func(), 0, len(changes))
	var leaves []byte
	for i := range changes {
		c := kept(&changes[i])
		if verdicts[i] = m.judge(&c); verdicts[i].Result != purchase.Written {
			continue
		}
		if err := distinct(m.record(c.Now.ID), &c); err != nil {
			for _, back := range slices.Backward(undo) {
				back()
			}
			return nil, fmt.Errorf("commit %d changes: purchase %d: %w", len(changes), c.Now.ID, err)
		}
		undo = append(undo, m.mark(c.Now.ID))
		if fresh(&c) {
			m.enter(&c.Now)
		}
		m.apply(&c)
		leaves = evidence.AppendPurchase(leaves, &c)
	}
	m.log.leave(leaves)
	return verdicts, nil
}

// mark returns how to bring a purchase back to what it is now.
func (m *Memory) mark(id purchase.ID) (undo func()) {
	unsent := len(m.unsent)
	r := m.records[id]
	if r != nil {
		was := *r // rows are only added: the slices' lengths bring them back
		return func() {
			m.place(&r.Purchase, &was.Purchase)
			*r, m.unsent = was, m.unsent[:unsent]
		}
	}
	return func() {
		p := &m.records[id].Purchase
		delete(m.keys, [2]string{p.Client, p.ClientKey})
		for _, number := range []purchase.MSISDN{p.PayerNumber, p.Recipient} {
			m.numbers[number] = slices.DeleteFunc(m.numbers[number], func(other purchase.ID) bool { return other == id })
		}
		delete(m.records, id)
		delete(m.open[p.Epoch], id)
		m.unsent = m.unsent[:unsent]
	}
}

// record is a purchase's, nil where there is none.
func (m *Memory) record(id purchase.ID) *purchase.Record {
	if r := m.records[id]; r != nil {
		return &r.Record
	}
	return nil
}

// judge says what becomes of a change that breaks no rule.
func (m *Memory) judge(c *purchase.Change) purchase.Verdict {
	p, r := &c.Now, m.records[c.Now.ID]
	if !fresh(c) {
		if r == nil || r.Purchase.Version != p.Version-1 || r.Purchase.Epoch != c.WasEpoch {
			return purchase.Verdict{Result: purchase.Stale}
		}
		return purchase.Verdict{Result: purchase.Written}
	}
	if r != nil {
		return purchase.Verdict{Result: purchase.KeyTaken, Other: p.ID}
	}
	if other, taken := m.keys[[2]string{p.Client, p.ClientKey}]; taken {
		return purchase.Verdict{Result: purchase.KeyTaken, Other: other}
	}
	if c.RepeatSince != 0 {
		for _, id := range slices.Backward(m.numbers[p.PayerNumber]) {
			q := &m.records[id].Purchase
			if q.CreatedAt >= c.RepeatSince && q.PayerNumber == p.PayerNumber && q.Recipient == p.Recipient &&
				q.Product == p.Product && q.Total == p.Total && q.State != purchase.Declined {
				return purchase.Verdict{Result: purchase.Repeat, Other: id}
			}
		}
	}
	return purchase.Verdict{Result: purchase.Written}
}

// enter makes room for a new purchase.
func (m *Memory) enter(p *purchase.Purchase) {
	m.keys[[2]string{p.Client, p.ClientKey}] = p.ID
	m.records[p.ID] = &memoryRecord{Record: purchase.Record{Purchase: *p}}
	for _, number := range slices.Compact([]purchase.MSISDN{p.PayerNumber, p.Recipient}) {
		ids := m.numbers[number]
		at, _ := slices.BinarySearchFunc(ids, p, m.older)
		m.numbers[number] = slices.Insert(ids, at, p.ID)
	}
}

// older compares by creation.
func (m *Memory) older(id purchase.ID, p *purchase.Purchase) int {
	return cmp.Or(cmp.Compare(m.records[id].Purchase.CreatedAt, p.CreatedAt), cmp.Compare(id, p.ID))
}

func (m *Memory) apply(c *purchase.Change) {
	r := m.records[c.Now.ID]
	m.place(&r.Purchase, &c.Now)
	r.Purchase = c.Now
	if c.Attempt != nil {
		r.Attempts = append(r.Attempts, *c.Attempt)
	}
	if c.Evidence != nil {
		r.Evidence = append(r.Evidence, *c.Evidence)
	}
	r.Postings = append(r.Postings, c.Postings...)
	for i := range c.Notices {
		m.unsent = append(m.unsent, noticePlace{c.Now.ID, len(r.Notices) + i})
	}
	r.Notices = append(r.Notices, c.Notices...)
	r.Cases = append(r.Cases, c.Cases...)
	r.marked()
}

// Load is purchase.Store.
func (m *Memory) Load(_ context.Context, ids ...purchase.ID) ([]purchase.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var records []purchase.Record
	for _, id := range ids {
		if r := m.records[id]; r != nil {
			records = append(records, stored(&r.Record))
		}
	}
	return records, nil
}

// stored is a record as another process finds it.
func stored(r *purchase.Record) purchase.Record {
	found := purchase.Record{Purchase: r.Purchase, Attempts: slices.Clone(r.Attempts), Evidence: slices.Clone(r.Evidence),
		Postings: slices.Clone(r.Postings), Notices: slices.Clone(r.Notices), Cases: slices.Clone(r.Cases)}
	found.Derive()
	return found
}

// LoadOpen is purchase.Store.
func (m *Memory) LoadOpen(_ context.Context, epoch int64, after purchase.ID, limit int) ([]purchase.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var records []purchase.Record
	for _, id := range m.openIDs(epoch) {
		if id > after && len(records) < limit {
			records = append(records, stored(&m.records[id].Record))
		}
	}
	return records, nil
}

func (m *Memory) openIDs(epoch int64) []purchase.ID {
	return slices.Sorted(maps.Keys(m.open[epoch]))
}

// place keeps the open purchases by epoch.
func (m *Memory) place(was, now *purchase.Purchase) {
	delete(m.open[was.Epoch], now.ID)
	if !now.Open() {
		return
	}
	if m.open[now.Epoch] == nil {
		m.open[now.Epoch] = map[purchase.ID]bool{}
	}
	m.open[now.Epoch][now.ID] = true
}

// FindKey is purchase.Store.
func (m *Memory) FindKey(_ context.Context, client, clientKey string) (purchase.ID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if id, ok := m.keys[[2]string{clean(client), clean(clientKey)}]; ok {
		return id, nil
	}
	return 0, purchase.ErrNotFound
}

// List is purchase.Store.
func (m *Memory) List(_ context.Context, page purchase.Page) ([]purchase.Purchase, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.records[page.Before]
	if page.Before != 0 && before == nil { // nothing is older than what does not exist
		return nil, nil
	}
	client := clean(page.Client)
	var found []purchase.Purchase
	for _, id := range slices.Backward(m.numbers[page.Number]) {
		r := m.records[id]
		if (client == "" || r.Purchase.Client == client) && len(found) < page.Limit &&
			(before == nil || m.older(id, &before.Purchase) < 0) {
			found = append(found, stored(&r.Record).Purchase)
		}
	}
	return found, nil
}

// Reserve is purchase.Store.
func (m *Memory) Reserve(_ context.Context, shard int, n, floor int64) (int64, error) {
	if n <= 0 {
		return 0, fmt.Errorf("reserve %d purchase numbers: at least one is needed", n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	first := max(m.next[shard], floor, 1)
	m.next[shard] = first + n
	return first, nil
}

func (m *Memory) lease(epoch int64) *purchase.Lease {
	if epoch < 1 || epoch > int64(len(m.leases)) {
		return nil
	}
	return &m.leases[epoch-1]
}

// Acquire is purchase.Store.
func (m *Memory) Acquire(_ context.Context, node string) (purchase.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.leases = append(m.leases, purchase.Lease{Epoch: int64(len(m.leases) + 1), Node: clean(node)})
	return m.leases[len(m.leases)-1], nil
}

// Renew is purchase.Store.
func (m *Memory) Renew(_ context.Context, epoch int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lease(epoch)
	if l == nil || l.Fenced {
		return purchase.ErrFenced
	}
	l.Renewals++
	return nil
}

// Leases is purchase.Store.
func (m *Memory) Leases(context.Context) ([]purchase.Lease, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var leases []purchase.Lease
	for _, l := range m.leases {
		if !l.Fenced || len(m.open[l.Epoch]) > 0 {
			leases = append(leases, l)
		}
	}
	return leases, nil
}

// Takeover is purchase.Store.
func (m *Memory) Takeover(_ context.Context, lost purchase.Lease, epoch int64, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lease(epoch); l == nil || l.Fenced {
		return 0, purchase.ErrFenced
	}
	l := m.lease(lost.Epoch)
	if l == nil || !l.Fenced && l.Renewals != lost.Renewals {
		return -1, nil
	}
	l.Fenced = true
	if lost.Epoch == epoch {
		return 0, purchase.ErrFenced
	}
	ids := m.openIDs(lost.Epoch)
	ids = ids[:min(limit, len(ids))]
	for _, id := range ids {
		r := m.records[id]
		now := r.Purchase
		now.Epoch = epoch
		m.place(&r.Purchase, &now)
		r.Purchase = now
	}
	return len(ids), nil
}

// Park is purchase.Store.
func (m *Memory) Park(_ context.Context, parked purchase.Parked) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	parked.Seq = m.seq
	keep(&parked.Event.Outcome)
	m.parked = append(m.parked, parked)
	return nil
}

// TakeParked is purchase.Store.
func (m *Memory) TakeParked(_ context.Context, epoch int64, limit int) ([]purchase.Parked, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var mine []purchase.Parked
	for _, p := range m.parked {
		if r := m.records[p.Purchase]; r != nil && (r.Purchase.Epoch == epoch || !r.Purchase.Open()) && len(mine) < limit {
			mine = append(mine, p)
		}
	}
	return mine, nil
}

// Unpark is purchase.Store.
func (m *Memory) Unpark(_ context.Context, seqs []int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parked = slices.DeleteFunc(m.parked, func(p purchase.Parked) bool { return slices.Contains(seqs, p.Seq) })
	return nil
}

// UnsentNotices is notify.Store.
func (m *Memory) UnsentNotices(_ context.Context, limit int) ([]purchase.Notice, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var notices []purchase.Notice
	for _, place := range m.unsent {
		if n := m.records[place.id].Notices[place.at]; !n.To.Erased() {
			notices = append(notices, n)
		}
	}
	slices.SortStableFunc(notices, func(a, b purchase.Notice) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Purchase, b.Purchase), cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.To, b.To))
	})
	return notices[:min(limit, len(notices))], nil
}

// NewestUnsent is notify.Store.
func (m *Memory) NewestUnsent(context.Context) (newest purchase.Instant, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, place := range m.unsent {
		if n := &m.records[place.id].Notices[place.at]; !n.To.Erased() {
			newest = max(newest, n.At)
		}
	}
	return newest, nil
}

// Standing tells whether a lease is the oldest that may write, and whether there is no other.
func (m *Memory) Standing(_ context.Context, epoch int64) (oldest, alone bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, count := int64(0), 0
	for i := range m.leases {
		if l := &m.leases[i]; !l.Fenced {
			if count++; first == 0 || l.Epoch < first {
				first = l.Epoch
			}
		}
	}
	return count > 0 && first == epoch, count <= 1, nil
}

// MarkSent is notify.Store.
func (m *Memory) MarkSent(_ context.Context, notices []purchase.Notice, at purchase.Instant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range notices {
		m.unsent = slices.DeleteFunc(m.unsent, func(p noticePlace) bool {
			n := &m.records[p.id].Notices[p.at]
			if n.Purchase != notices[i].Purchase || n.Fact != notices[i].Fact || n.To != notices[i].To {
				return false
			}
			n.SentAt = at
			return true
		})
	}
	return nil
}
