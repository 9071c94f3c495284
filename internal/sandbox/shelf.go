package sandbox

import (
	"cmp"
	"slices"
)

// shelf is what a book holds, in memory.
type shelf struct {
	accounts  map[string][]Account // by number, ordered by pocket
	movements []Movement           // by Seq, from 1
	byKey     map[string][]int64   // Seqs, ascending
	byNumber  map[string][]int64
	undoing   map[string][]int64 // by Original
	due       []Due              // soonest first
	lastDue   int64
}

func newShelf() *shelf {
	return &shelf{accounts: map[string][]Account{}, byKey: map[string][]int64{}, byNumber: map[string][]int64{}, undoing: map[string][]int64{}}
}

// apply makes a change and returns what takes it back.
func (s *shelf) apply(c change) (undo func()) {
	switch {
	case c.Account != nil:
		return s.putAccount(*c.Account)
	case c.Movement != nil:
		return s.putMovement(*c.Movement)
	case c.Due != nil:
		last := s.lastDue
		s.lastDue = max(last, c.Due.ID)
		s.addDue(*c.Due)
		return func() { s.dropDue(c.Due.ID); s.lastDue = last }
	}
	if d, had := s.dropDue(c.Done); had {
		return func() { s.addDue(d) }
	}
	return func() {}
}

// account is an account that is there, or nil.
func (s *shelf) account(number, pocket string) *Account {
	list := s.accounts[number]
	if at, had := findPocket(list, pocket); had {
		return &list[at]
	}
	return nil
}

func findPocket(list []Account, pocket string) (int, bool) {
	return slices.BinarySearchFunc(list, pocket, func(a Account, pocket string) int { return cmp.Compare(a.Pocket, pocket) })
}

func (s *shelf) putAccount(a Account) (undo func()) {
	list := s.accounts[a.Number]
	at, had := findPocket(list, a.Pocket)
	if had {
		was := list[at]
		list[at] = a
		return func() { s.accounts[a.Number][at] = was }
	}
	s.accounts[a.Number] = slices.Insert(list, at, a)
	return func() {
		if list := slices.Delete(s.accounts[a.Number], at, at+1); len(list) > 0 {
			s.accounts[a.Number] = list
		} else {
			delete(s.accounts, a.Number)
		}
	}
}

// movement is a movement that is there, or nil.
func (s *shelf) movement(seq int64) *Movement {
	if seq < 1 || seq > int64(len(s.movements)) {
		return nil
	}
	return &s.movements[seq-1]
}

// numbered are the movements of such Seqs.
func (s *shelf) numbered(seqs []int64) []Movement {
	if len(seqs) == 0 {
		return nil
	}
	list := make([]Movement, 0, len(seqs))
	for _, seq := range seqs {
		list = append(list, s.movements[seq-1])
	}
	return list
}

// putMovement writes a movement: the next, or one that is there.
func (s *shelf) putMovement(m Movement) (undo func()) {
	had := s.movement(m.Seq)
	if had == nil {
		s.movements = append(s.movements, m)
		s.list(m)
		return func() { s.unlist(m); s.movements = s.movements[:m.Seq-1] }
	}
	was := *had
	s.renumber(was, m)
	return func() { s.renumber(m, was) }
}

// renumber writes a movement anew, whose number alone may be another in the lists.
func (s *shelf) renumber(was, m Movement) {
	if was.Number != m.Number {
		s.unlist(was)
		s.list(m)
	}
	s.movements[m.Seq-1] = m
}

// lists are those that a movement stands in.
func (s *shelf) lists(m *Movement, each func(of map[string][]int64, name string)) {
	each(s.byNumber, m.Number)
	if m.Key != "" {
		each(s.byKey, m.Key)
	}
	if m.Original != "" {
		each(s.undoing, m.Original)
	}
}

func (s *shelf) list(m Movement) {
	s.lists(&m, func(of map[string][]int64, name string) {
		at, _ := slices.BinarySearch(of[name], m.Seq)
		of[name] = slices.Insert(of[name], at, m.Seq)
	})
}

func (s *shelf) unlist(m Movement) {
	s.lists(&m, func(of map[string][]int64, name string) {
		if at, had := slices.BinarySearch(of[name], m.Seq); had {
			of[name] = slices.Delete(of[name], at, at+1)
		}
	})
}

func (s *shelf) addDue(d Due) {
	at, _ := slices.BinarySearchFunc(s.due, d, func(x, y Due) int { return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.ID, y.ID)) })
	s.due = slices.Insert(s.due, at, d)
}

// dropDue forgets a piece of work, and returns it if it was there.
func (s *shelf) dropDue(id int64) (Due, bool) {
	at := slices.IndexFunc(s.due, func(d Due) bool { return d.ID == id })
	if at < 0 {
		return Due{}, false
	}
	d := s.due[at]
	s.due = slices.Delete(s.due, at, at+1)
	return d, true
}
