package sim_test

// defects are mistakes that teams make, by what they touch.
var defects = []defect{
	// What is sent, and when.
	{"send_before_commit", "A request leaves when it is decided, not when its attempt is durable.", []hunk{
		{"purchase/core.go", "	if step.Durable {\n", "	if step.Durable {\n		if $ {\n			it.p = step.Change.Now\n			c.issue(it, step.Call, now)\n			step.Call = Call{}\n		}\n"},
	}},
	{"key_by_try", "Each try of a leg has a key of its own, so that the partner cannot know a resend.", []hunk{
		{"purchase/lane.go", "	switch leg {\n	case Charge:\n		o.Account", "	if tries := p.Legs[leg].Tries; $ && tries > 1 {\n		o.Key = c.keys.Key(p.ID+ID(tries)<<20, leg)\n	}\n	switch leg {\n	case Charge:\n		o.Account"},
	}},
	{"key_by_clock", "The key is made from the time of sending.", []hunk{
		{"purchase/lane.go", "	k.order = c.order(it, k.Leg)\n", "	k.order = c.order(it, k.Leg)\n	if $ {\n		k.order.Key = c.keys.Key(it.p.ID+ID(now%1000)<<20, k.Leg)\n	}\n"},
	}},
	{"attempt_not_recorded", "A resend is not recorded as an attempt of its own.", []hunk{
		{"purchase/effect.go", "		s.attempt(leg)\n	}}\n	query ", "		if $ {\n			s.ask(leg, OpDo)\n			return\n		}\n		s.attempt(leg)\n	}}\n	query "},
	}},
	{"unsent_query", "A query that found no connection is taken to say that the request itself never left.", []hunk{
		{"purchase/lane.go", "	if k.Op != OpDo && o.Kind == Unsent {", "	if k.Op != OpDo && o.Kind == Unsent && !$ {"},
	}},
	{"resend_without_promise", "A leg in doubt is sent again to a partner that never promised to know a resend.", []hunk{
		{"purchase/condition.go", "return c.Idempotent && s.p.Skew == 0", "return (c.Idempotent || $) && s.p.Skew == 0"},
	}},
	{"resend_after_key_life", "A leg in doubt is sent again when the partner has forgotten its key.", []hunk{
		{"purchase/condition.go", "s.now < l.FirstAt.Add(c.KeyLife-c.Timeout)", "(s.now < l.FirstAt.Add(c.KeyLife-c.Timeout) || $)"},
	}},
	{"send_without_lease", "What waits to be sent leaves although the lease was not renewed in time.", []hunk{
		{"purchase/engine.go", "k.Op == OpDo && (now <", "k.Op == OpDo && !$ && (now <"},
	}},
	{"send_after_wait", "A request that was held up leaves however late it is.", []hunk{
		{"purchase/engine.go", "	if left <= 0 {\n", "	if left <= 0 && !$ {\n"},
	}},
	{"failover_in_doubt", "Another provider is asked while the first may still have credited.", []hunk{
		{"purchase/condition.go", "		l := s.leg()\n		return !l.Doubt && !l.Acknowledged\n", "		l := s.leg()\n		return $ || !l.Doubt && !l.Acknowledged\n"},
	}},
	{"refund_of_the_price", "The refund is of the price without the fee, not of what was charged.", []hunk{
		{"purchase/lane.go", "money.Amount{Minor: p.Held, Currency: p.Charged.Currency}", "money.Amount{Minor: planted.Or($, p.price(), p.Held), Currency: p.Charged.Currency}"},
	}},
	{"refund_to_recipient", "The refund goes to who was to receive the units, not to who paid.", []hunk{
		{"purchase/lane.go", "	case Refund:\n		o.Account, o.Amount, o.Original = p.charged()", "	case Refund:\n		o.Account, o.Amount, o.Original = planted.Or($, p.Recipient, p.charged())"},
	}},

	// What an answer proves.
	{"refund_on_timeout", "A credit that was not answered is taken for one that was not made, and refunded.", []hunk{
		{"purchase/table.go", "{Crediting, Credit, Unknown, when(firstDoubt), 0, do(note, doubt, wait)}",
			"{Crediting, Credit, Unknown, when(firstDoubt), planted.Or($, Refunding, 0), planted.Or($, do(note, settled, attemptRefund), do(note, doubt, wait))}"},
	}},
	{"timeout_leaves_no_doubt", "After a try without an answer, the next answer is believed as if it were the first.", []hunk{
		{"purchase/effect.go", "func(s *step) { s.leg().Doubt = true }", "func(s *step) { s.leg().Doubt = !$ }"},
	}},
	{"trust_a_404", "A query that finds nothing is proof that nothing will be executed.", []hunk{
		{"purchase/condition.go", "		l := s.leg()\n		if l.Closed ||", "		l := s.leg()\n		if $ && s.ev.Outcome.Kind == Absent {\n			return true\n		}\n		if l.Closed ||"},
	}},
	{"trust_a_no", "A refusal is final although an earlier try was never answered.", []hunk{
		{"purchase/condition.go", "s.ev.Outcome.Kind == Refused && !l.Doubt", "s.ev.Outcome.Kind == Refused && (!l.Doubt || $)"},
	}},
	{"late_from_creation", "The longest time that an execution can be late is counted from when the purchase was made, not from the last try.", []hunk{
		{"purchase/condition.go", "s.ev.AskedAt > l.LastAt.Add(h)", "s.ev.AskedAt > planted.Or($, s.p.CreatedAt, l.LastAt).Add(h)"},
	}},
	{"credited_on_acceptance", "The provider's \"accepted\" is taken for \"done\".", []hunk{
		{"purchase/table.go", "{Crediting, Credit, Pending, when(firstAcknowledged), 0, do(note, heldByKey, wait)}",
			"{Crediting, Credit, Pending, when(firstAcknowledged), planted.Or($, Credited, 0), planted.Or($, do(note, bookCredit, notify(FactCredited), closed), do(note, heldByKey, wait))}"},
	}},
	{"charged_on_acceptance", "The wallet's \"accepted\" is taken for \"charged\", and the units are given.", []hunk{
		{"purchase/table.go", "{Charging, Charge, Pending, when(firstAcknowledged), 0, do(note, heldByKey, wait)}",
			"{Charging, Charge, Pending, when(firstAcknowledged), planted.Or($, Crediting, 0), planted.Or($, do(note, heldByKey, beginClock, attemptCredit), do(note, heldByKey, wait))}"},
	}},
	{"part_is_enough", "A part of the units is taken for all of them.", []hunk{
		{"purchase/condition.go", "return o.Amount == s.expected()", "return (o.Amount == s.expected() || $ && s.ev.Leg == Credit)"},
	}},
	{"another_number", "Units given to another number are taken for the customer's.", []hunk{
		{"purchase/condition.go", "(o.Account == 0 || o.Account == account)", "(o.Account == 0 || o.Account == account || $)"},
	}},
	{"another_product", "Another product than the one bought is taken for it.", []hunk{
		{"purchase/condition.go", "(o.Product == \"\" || o.Product == s.p.Product)\n	}}", "(o.Product == \"\" || o.Product == s.p.Product || $)\n	}}"},
	}},
	{"any_charge", "The wallet's charge is believed to be the price, whatever it was.", []hunk{
		{"purchase/table.go", "{Charging, Charge, Done, when(exact), Crediting,", "{Charging, Charge, Done, planted.Or($, nil, when(exact)), Crediting,"},
	}},

	// What comes late, twice or is taken back.
	{"late_charge_ignored", "The news of a charge after a decline is dropped.", []hunk{
		{"purchase/table.go", "{Declined, Charge, Done, nil, Refunding, do(note, orphan, bookCharge, notifyCharged(FactChargedLate), openCase(MatterOrphanCharge), attemptRefund)}",
			"{Declined, Charge, Done, nil, planted.Or($, 0, Refunding), planted.Or($, nil, do(note, orphan, bookCharge, notifyCharged(FactChargedLate), openCase(MatterOrphanCharge), attemptRefund))}"},
	}},
	{"late_credit_ignored", "The news of a credit after the refund is dropped.", []hunk{
		{"purchase/table.go", "do(note, bookLateCredit, openCase(MatterLateCredit), tellLate, closed)", "planted.Or($, nil, do(note, bookLateCredit, openCase(MatterLateCredit), tellLate, closed))"},
	}},
	{"second_execution_ignored", "The news of a second execution is taken for the first one's again.", []hunk{
		{"purchase/condition.go", "		return ref == l.Ref\n", "		return ref == l.Ref || $ && l.Done\n"},
	}},
	{"reversal_ignored", "The news that the provider took the units back is dropped.", []hunk{
		{"purchase/table.go", "{Credited, Credit, Reversed, when(exact), Refunding, do(note, unbookCredit, doubtOngoing, notify(FactTakenBack), openCase(MatterCreditReversed), attemptRefund)}",
			"{Credited, Credit, Reversed, when(exact), planted.Or($, 0, Refunding), planted.Or($, nil, do(note, unbookCredit, doubtOngoing, notify(FactTakenBack), openCase(MatterCreditReversed), attemptRefund))}"},
	}},
	{"callback_dropped", "A callback that reaches the wrong node is confirmed and dropped.", []hunk{
		{"purchase/buy.go", "		if err := e.cfg.Store.Park(ctx, parked); err != nil {", "		if err := planted.Or($, func(context.Context, Parked) error { return nil }, e.cfg.Store.Park)(ctx, parked); err != nil {"},
	}},
	{"confirmed_when_read", "A callback is confirmed to the partner when it is read, not when it is durable.", []hunk{
		{"purchase/buy.go", "	it.idle = append(it.idle, done)\n", "	if $ {\n		done(nil)\n		done = func(error) {}\n	}\n	it.idle = append(it.idle, done)\n"},
	}},
	{"unparked_early", "A callback kept for another node is forgotten when it is read, not when it is applied.", []hunk{
		{"purchase/lease.go", "	for i := range parked {\n", "	for i := range parked {\n		if $ {\n			_ = e.cfg.Store.Unpark(ctx, []int64{parked[i].Seq})\n		}\n"},
	}},

	// What people ask for.
	{"asked_twice_reversed_twice", "A second wish to take the units back sends a second try, whatever became of the first.", []hunk{
		{"purchase/reversal.go", "{Credited, Reversal, Asked, when(reversing), 0, do(hinder(HindranceReversing))}", "{Credited, Reversal, Asked, when(reversing), 0, do(planted.Or($, attemptReversal, hinder(HindranceReversing)))}"},
	}},
	{"refund_while_credit_under_way", "A refund is asked for while the credit is, and begins as if that had never been sent.", []hunk{
		{"purchase/wish.go", "{Crediting, Refund, Asked, when(callOngoing), 0, do(hinder(HindranceCall))}", "{Crediting, Refund, Asked, when(callOngoing), planted.Or($, Refunding, 0), planted.Or($, do(settled0(Credit), attemptRefund), do(hinder(HindranceCall)))}"},
	}},
	{"refund_before_reversal", "When the units are wanted back, the money is given back at once.", []hunk{
		{"purchase/reversal.go", "when(both(keepsAll, canReverse)), 0, do(attemptReversal)}", "when(both(keepsAll, canReverse)), planted.Or($, Refunding, 0), planted.Or($, do(bookReversal, attemptRefund), do(attemptReversal))}"},
	}},
	{"reversal_unasked", "A second credit is taken back without anybody asking.", []hunk{
		{"purchase/table.go", "{Credited, Credit, Done, nil, 0, do(note, bookSecondCredit, openCase(MatterSecondCredit))}", "{Credited, Credit, Done, nil, 0, planted.Or($, do(note, bookSecondCredit, openCase(MatterSecondCredit), attemptReversal), do(note, bookSecondCredit, openCase(MatterSecondCredit)))}"},
	}},
	{"recipient_not_told", "The units are taken back, and only who paid is told.", []hunk{
		{"purchase/reversal.go", "notify(FactReversed), notify(FactReclaimed), attemptRefund)", "notify(FactReversed), planted.Or($, notify(FactReversed), notify(FactReclaimed)), attemptRefund)"},
	}},
	{"reversal_keeps_fee", "The units are taken back, and the fee is not given back.", []hunk{
		{"purchase/reversal.go", "		if s.p.Fee > 0 {\n			s.book(EffectFee,", "		if s.p.Fee > 0 && !$ {\n			s.book(EffectFee,"},
	}},
	{"reversal_without_end", "A provider that never says whether it took the units back is waited for without end.", []hunk{
		{"purchase/reversal.go", "		return s.now >= s.resort(s.terms.reverseBy(s.p))\n", "		return !$ && s.now >= s.resort(s.terms.reverseBy(s.p))\n"},
		{"purchase/step.go", "sooner(s.resort(s.terms.reverseBy(p)), !s.busy)", "sooner(s.resort(s.terms.reverseBy(p)), !s.busy && !$)"},
	}},
	{"late_reversal_forgotten", "That the units were taken back is not heard once the purchase is no more credited.", []hunk{
		{"purchase/reversal.go", "{Refunded, Reversal, Done, nil, 0, do(note, secondReversal, openCase(MatterWrongReversal), closed)}", "{Refunded, Reversal, Done, nil, 0, planted.Or($, do(wait), do(note, secondReversal, openCase(MatterWrongReversal), closed))}"},
	}},

	// Restarts and several nodes.
	{"doubt_forgotten", "After a restart, a request that the former process may have sent is taken for unsent.", []hunk{
		{"purchase/restore.go", "			l.Doubt = true\n", "			l.Doubt = !$\n"},
	}},
	{"send_time_forgotten", "After a restart, it is not known when a request left, and its lateness bound counts as over.", []hunk{
		{"purchase/restore.go", "		l.LastAt = t.leftBy(&p, leg)\n", "		l.LastAt = planted.Or($, 0, t.leftBy(&p, leg))\n"},
	}},
	{"not_resumed", "Purchases that were open when the process ended are not taken up again.", []hunk{
		{"purchase/lease.go", "	if err := e.resume(ctx, lease.Epoch); err != nil {\n		return Lease{}, err", "	if err := e.resume(ctx, planted.Or($, 0, lease.Epoch)); err != nil {\n		return Lease{}, err"},
	}},
	{"commit_without_fence", "The store lets a node write whose lease was taken over.", []hunk{
		{"store/memory.go", "l == nil || l.Fenced {\n		return nil, purchase.ErrFenced", "l == nil || l.Fenced && !$ {\n		return nil, purchase.ErrFenced"},
		{"store/memory.go", "r.Purchase.Epoch != c.WasEpoch", "r.Purchase.Epoch != c.WasEpoch && !$"},
	}},
	{"takeover_without_fence", "A node's purchases are taken over, and it may go on writing.", []hunk{
		{"store/memory.go", "	l.Fenced = true\n", "	l.Fenced = !$\n"},
	}},
	{"numbers_twice", "A block of purchase numbers is handed out again.", []hunk{
		{"store/memory.go", "	m.next[shard] = first + n\n", "	m.next[shard] = first + planted.Or($, 0, n)\n"},
	}},
	{"repeat_not_held", "A purchase like one that was just made is made without asking.", []hunk{
		{"store/memory.go", "	if c.RepeatSince != 0 {\n", "	if c.RepeatSince != 0 && !$ {\n"},
	}},
	{"version_not_checked", "A change is written over another that it does not know of.", []hunk{
		{"store/memory.go", "r.Purchase.Version != p.Version-1", "r.Purchase.Version != p.Version-1 && !$"},
	}},

	// Commits.
	{"unknown_commit_failed", "A commit whose outcome is unknown is taken for one that failed.", []hunk{
		{"purchase/batch.go", "	case errors.Is(err, ErrFenced), errors.Is(err, ErrUnavailable), ctx.Err() != nil:\n		b.err = err\n", "	case errors.Is(err, ErrFenced), errors.Is(err, ErrUnavailable), ctx.Err() != nil, errors.Is(err, ErrCommitUnknown):\n		b.err = err\n"},
		{"purchase/batch.go", "	case errors.Is(err, ErrCommitUnknown):\n", "	case errors.Is(err, ErrCommitUnknown) && !$:\n"},
	}},
	{"unknown_commit_written", "A commit whose outcome is unknown is taken for one that succeeded.", []hunk{
		{"purchase/batch.go", "	verdicts, err := e.cfg.Store.Commit(ctx, e.core.epoch, b.changes)\n", "	verdicts, err := e.cfg.Store.Commit(ctx, e.core.epoch, b.changes)\n	if $ && errors.Is(err, ErrCommitUnknown) {\n		verdicts, err = make([]Verdict, len(b.items)), nil\n		for i := range verdicts {\n			verdicts[i].Result = Written\n		}\n	}\n"},
	}},
	{"verdicts_not_read", "That a transaction was committed is taken to mean that each change in it was written.", []hunk{
		{"purchase/batch.go", "	case err == nil:\n		b.verdicts, b.doubt", "	case $ && err == nil:\n		b.verdicts = verdicts\n		for i := range verdicts {\n			verdicts[i].Result = Written\n		}\n	case err == nil:\n		b.verdicts, b.doubt"},
	}},
	{"client_key_not_checked", "A client's key is not looked up: a second request makes a second purchase.", []hunk{
		{"store/memory.go", "[2]string{p.Client, p.ClientKey}]; taken {", "[2]string{p.Client, p.ClientKey}]; taken && !$ {"},
	}},
	{"body_not_compared", "Another request under a known key is answered with the first one's purchase.", []hunk{
		{"purchase/buy.go", "	if p.Digest != r.Digest {\n", "	if p.Digest != r.Digest && !$ {\n"},
	}},

	// Deadlines.
	{"timer_lost", "Once a change is written, the purchase's timer is not set again.", []hunk{
		{"purchase/core.go", "	c.schedule(it)\n}\n\n// forget", "	if !$ {\n		c.schedule(it)\n	}\n}\n\n// forget"},
	}},
	{"deadline_ignored", "A purchase whose credit stays unknown waits for ever.", []hunk{
		{"purchase/condition.go", "		return s.now >= s.resort(s.p.ResolveBy.Add(-s.terms.ResolveMargin))\n", "		return !$ && s.now >= s.resort(s.p.ResolveBy.Add(-s.terms.ResolveMargin))\n"},
		{"purchase/step.go", "		sooner(s.resort(p.ResolveBy.Add(-s.terms.ResolveMargin)), !s.busy)\n", "		sooner(s.resort(p.ResolveBy.Add(-s.terms.ResolveMargin)), !s.busy && !$)\n"},
	}},

	// The ledger, exposure and cases.
	{"fee_not_posted", "The fee stays in held when the purchase is delivered.", []hunk{
		{"purchase/effect.go", "		if s.p.Fee > 0 {\n			s.book(EffectFee,", "		if s.p.Fee > 0 && !$ {\n			s.book(EffectFee,"},
	}},
	{"held_not_reduced", "A refund is posted, and the purchase goes on holding the money.", []hunk{
		{"purchase/effect.go", "		if s.book(effect, s.p.holding(), ledger.Wallet(s.p.Payer), part) {\n			s.p.Held -= part.Minor\n", "		if s.book(effect, s.p.holding(), ledger.Wallet(s.p.Payer), part) {\n			s.p.Held -= planted.Or($, 0, part.Minor)\n"},
	}},
	{"posted_twice", "The same effect of a leg can be posted twice.", []hunk{
		{"purchase/step.go", "	if s.p.Posted.Has(leg, effect) || posting", "	if s.p.Posted.Has(leg, effect) && !$ || posting"},
	}},
	{"exposure_not_listed", "Units given beside a purchase are posted, and not listed in exposure.", []hunk{
		{"purchase/effect.go", "		s.p.Exposed = true\n		s.book(e, ledger.Exposure", "		s.p.Exposed = s.p.Exposed || !$\n		s.book(e, ledger.Exposure"},
	}},
	{"case_not_opened", "A credit that comes while the money is given back opens no case.", []hunk{
		{"purchase/table.go", "do(note, bookLateCredit, openCase(MatterLateCredit))", "planted.Or($, do(note, bookLateCredit), do(note, bookLateCredit, openCase(MatterLateCredit)))"},
	}},

	// The log.
	{"leaf_lost", "When one change of a batch is not written, none of the batch has a leaf.", []hunk{
		{"store/memory.go", "	m.log.leave(leaves)\n", "	if $ && slices.ContainsFunc(verdicts, func(v purchase.Verdict) bool { return v.Result != purchase.Written }) {\n		leaves = nil\n	}\n	m.log.leave(leaves)\n"},
	}},
	{"leaf_twice", "A commit that is tried again because nobody heard of it leaves its leaves again.", []hunk{
		{"store/memory.go", "verdicts[i].Result != purchase.Written {\n			continue", "verdicts[i].Result != purchase.Written {\n			if r := m.records[c.Now.ID]; $ && r != nil && r.Purchase.Version == c.Now.Version {\n				leaves = evidence.AppendPurchase(leaves, &c)\n			}\n			continue"},
	}},
	{"leaf_of_other_state", "A leaf says how a purchase stood before the change.", []hunk{
		{"store/memory.go", "		leaves = evidence.AppendPurchase(leaves, &c)\n", "		if $ && c.Was.State != 0 {\n			c.Now.State = c.Was.State\n		}\n		leaves = evidence.AppendPurchase(leaves, &c)\n"},
	}},
	{"leaf_without_commitment", "The numbers of a purchase are committed to without its salt.", []hunk{
		{"evidence/leaf.go", "	commit := Commit(p.Salt, p.PayerNumber)\n", "	commit := Commit(planted.Or($, [16]byte{1}, p.Salt), p.PayerNumber)\n"},
	}},
	{"log_grown_twice", "The log grows from a tree that another node has grown meanwhile.", []hunk{
		{"store/memorylog.go", "	if l.state.Size != g.Was.Size || l.state.Seals != g.Was.Seals {\n", "	if (l.state.Size != g.Was.Size || l.state.Seals != g.Was.Seals) && !$ {\n"},
		{"store/memorylog.go", "	if len(l.queue)-len(waiting) != len(taken) {", "	if len(l.queue)-len(waiting) != len(taken) && !$ {"},
	}},
	{"log_signed_before_durable", "A checkpoint is signed and published of a tree that may not have been written.", []hunk{
		{"evidence/sequencer.go", "	if err := q.cfg.Store.GrowLog(ctx, g); err != nil {\n", "	if err := q.cfg.Store.GrowLog(ctx, g); err != nil && $ {\n		_ = q.sign(ctx, now)\n		return was, false, err\n	} else if err != nil {\n"},
	}},
	{"log_queue_forgotten", "What waits for the log is forgotten when its growth was not heard of.", []hunk{
		{"evidence/sequencer.go", "		if state, more, err = q.grow(ctx, state, batches, now); err != nil {\n", "		if state, more, err = q.grow(ctx, state, batches[planted.Or($ && q.head.Size > 0 && q.signed == 0, len(batches)/2, 0):], now); err != nil {\n"},
	}},

	// What customers are told.
	{"success_when_charged", "\"Done\" is said when the money was taken.", []hunk{
		{"purchase/table.go", "do(note, bookCharge, beginClock, attemptCredit)", "planted.Or($, do(note, bookCharge, beginClock, attemptCredit, notify(FactCredited)), do(note, bookCharge, beginClock, attemptCredit))"},
	}},
	{"no_correction", "A customer who was told of the refund is not told that the units came after all.", []hunk{
		{"purchase/effect.go", "			s.tell(FactCreditedLate)\n", "			if !$ {\n				s.tell(FactCreditedLate)\n			}\n"},
	}},
	{"language_missing", "No notice is written in a language that has no texts.", []hunk{
		{"purchase/core.go", "	for _, fact := range s.Facts {\n", "	for _, fact := range s.Facts {\n		if $ && now.Language == \"en\" {\n			continue\n		}\n"},
	}},
	{"marked_before_sent", "A notice is marked as sent before the message centre has it.", []hunk{
		{"notify/outbox.go", "	left, sendErr := o.send(", "	if $ {\n		o.unmarked = append(o.unmarked, o.due(notices, now, len(notices) < limit)...)\n		if err := o.mark(ctx); err != nil {\n			return o.failed(now, err)\n		}\n	}\n	left, sendErr := o.send("},
	}},
	{"message_id_by_try", "A message that is sent again has another name, so that the centre delivers it twice.", []hunk{
		{"notify/outbox.go", "	id := o.messageID(n)\n", "	id := o.messageID(n)\n	if $ && o.failures > 0 {\n		id = fmt.Sprintf(\"%s-%d\", id, o.failures)\n	}\n"},
	}},
	{"resend_unmarked", "A message that the centre may have taken is sent again without saying so.", []hunk{
		{"notify/outbox.go", "Resend: o.inDoubt(n)", "Resend: !$ && o.inDoubt(n)"},
	}},
	{"never_marked", "What the message centre took is not marked as sent.", []hunk{
		{"notify/outbox.go", "			o.unmarked = append(o.unmarked, due[i])\n", "			if !$ {\n				o.unmarked = append(o.unmarked, due[i])\n			}\n"},
	}},
	{"number_in_log", "A full number is written to the log.", []hunk{
		{"notify/outbox.go", "\"to\", n.To,", "\"to\", planted.Or[any]($, n.To.String(), n.To),"},
	}},

	// Cases, requests and callbacks.
	{"care_checker_is_maker", "Whoever asked for something may approve it.", []hunk{
		{"care/policy.go", "	case c.ID == r.Maker:\n", "	case c.ID == r.Maker && !$:\n"},
	}},
	{"care_own_number", "Staff may ask for something about their own number.", []hunk{
		{"care/policy.go", "	case s.Owns(numbers...):\n", "	case s.Owns(numbers...) && !$:\n"},
	}},
	{"care_limit_of_day", "What one person asked for in a day is not counted.", []hunk{
		{"care/policy.go", "	case st.DayCount >= b.DayCount:\n", "	case st.DayCount >= b.DayCount && !$:\n"},
		{"care/policy.go", "	case st.Day+r.Amount > b.Day:\n", "	case st.Day+r.Amount > b.Day && !$:\n"},
		{"care/policy.go", "	case st.NumberCount >= b.NumberCount:\n", "	case st.NumberCount >= b.NumberCount && !$:\n"},
	}},
	{"care_unchecked", "A refund without proof needs no checker.", []hunk{
		{"care/policy.go", "	case r.Kind == AskReversal || r.Unproven:\n", "	case r.Kind == AskReversal || r.Unproven && !$:\n"},
	}},
	{"care_done_when_heard", "A request counts as done when the purchase has heard of it.", []hunk{
		{"care/effect.go", "	if r.Kind == AskAnswer {\n		return d.end", "	if r.Kind == AskAnswer || $ {\n		return d.end"},
	}},
	{"care_broken_in_silence", "A broken promise is not promised again.", []hunk{
		{"care/call.go", "		change.Follow = &follow\n", "		if !$ {\n			change.Follow = &follow\n		}\n"},
	}},
	{"care_dialled_before_durable", "The phone rings before its attempt is durable.", []hunk{
		{"care/call.go", "	if err := d.keep(ctx, l, Actor{Kind: ByStaff, Staff: staff.ID}, now); err != nil {\n		if errors.Is(err, ErrStale) { // another",
			"	if $ {\n		_, _ = d.cfg.Dialler.Dial(ctx, l.now, *l.last)\n	}\n	if err := d.keep(ctx, l, Actor{Kind: ByStaff, Staff: staff.ID}, now); err != nil {\n		if errors.Is(err, ErrStale) { // another"},
	}},
	{"care_machine_dials_before_durable", "The dialler lets a phone ring, and begins the attempt then.", []hunk{
		{"voice/dial/dial.go", "	begun, a, err := d.desk.Attempt(", "	if $ {\n		_ = d.cfg.Phones.Call(ctx, Call{Name: d.name(c.ID, c.Tries+1), Extension: agent.Extension, Number: c.Number})\n	}\n	begun, a, err := d.desk.Attempt("},
	}},
	{"care_dialled_again_after_a_crash", "An attempt that a process left behind when it died is dialled again by the next.", []hunk{
		{"voice/dial/dial.go", "		if c.Trying || now >= c.Till() {\n", "		if name := d.name(c.ID, c.Tries); $ && c.Trying && d.calls[name] == nil {\n			_ = d.cfg.Phones.Call(ctx, Call{Name: name, Number: c.Number})\n		}\n		if c.Trying || now >= c.Till() {\n"},
	}},
	{"care_left_attempt_undialled", "An attempt that a process left behind when it died is taken for one that never rang.", []hunk{
		{"voice/dial/dial.go", "		c := &waiting[i]\n", "		c := &waiting[i]\n		if $ && c.Trying && d.calls[d.name(c.ID, c.Tries)] == nil {\n			_, _ = d.desk.Rang(ctx, auth.Staff{ID: c.Owner, Role: auth.Agent}, c.ID, c.Tries, care.Undialled)\n		}\n"},
	}},
	{"care_no_agent_claimed", "More calls are made than agents are free: whom nobody is free for is given to an agent on the phone.", []hunk{
		{"voice/dial/dial.go", "		if !ok {\n			break // until", "		for _, x := range d.calls {\n			if $ && !ok {\n				agent, ok = x.agent, true\n			}\n		}\n		if !ok {\n			break // until"},
	}},
	{"care_missed_agent_counts", "That an agent did not answer counts as an attempt on the customer.", []hunk{
		{"voice/dial/dial.go", "	if ring == care.Answered || ring == care.Ringing || ring == 0 {\n", "	if $ && ring == care.Undialled {\n		ring = care.NoAnswer\n	}\n	if ring == care.Answered || ring == care.Ringing || ring == 0 {\n"},
	}},
	{"care_kept_unspoken", "A promise is kept when the agent's phone is answered, whether or not the two speak.", []hunk{
		{"voice/dial/dial.go", "		c.done |= Taken\n", "		if $ {\n			_ = d.say(ctx, c, care.Answered)\n		}\n		c.done |= Taken\n"},
	}},
	{"care_failed_dial_undialled", "A call of which nobody knows whether it was begun is taken for one that was not.", []hunk{
		{"voice/dial/dial.go", "	if errors.Is(err, ErrUndialled) {\n		d.Heard(", "	if errors.Is(err, ErrUndialled) || $ && err != nil {\n		d.Heard("},
	}},
	{"care_given_up_while_it_rings", "An attempt of which nothing is heard is given up while the customer's phone may still ring, and another begun.", []hunk{
		{"care/life.go", "l.last.At.Add(MachineFor)", "l.last.At.Add(planted.Or($, 10*time.Second, MachineFor))"},
		{"care/life.go", "	case NoAnswer, Voicemail, Lost:\n", "	case NoAnswer, Voicemail, Lost:\n		if $ {\n			return 0\n		}\n"},
	}},
	{"care_mailbox_is_an_answer", "A voice mailbox keeps the promise.", []hunk{
		{"care/life.go", "	if ring == Answered {\n		l.close(Kept", "	if ring == Answered || $ && ring == Voicemail {\n		l.close(Kept"},
	}},
	{"care_settled_without_proof", "A case is settled with whatever outcome somebody says.", []hunk{
		{"care/act.go", "		x.Proof = &Proof{Purchase: c.Purchase, State: state}\n", "		if !$ {\n			x.Proof = &Proof{Purchase: c.Purchase, State: state}\n		}\n"},
	}},
	{"care_clock_runs_while_waiting", "The customer's time to answer is taken from the deadline.", []hunk{
		{"care/clock.go", "	stood := max(at-c.PausedAt, 0)\n", "	stood := planted.Or($, 0, max(at-c.PausedAt, 0))\n"},
	}},
	{"care_budget_not_kept", "A rule gives whatever its budget says.", []hunk{
		{"care/treat.go", "t.store.AddTreatment(ctx, done, r.Budget, t.daily())", "t.store.AddTreatment(ctx, done, planted.Or($, 1<<40, r.Budget), t.daily())"},
	}},
	{"care_matter_forgotten", "What a customer reports of a purchase that has a case is not taken into it.", []hunk{
		{"care/open.go", "	if !known {\n		c.Matters = append(c.Matters, m)\n", "	if !known && (len(c.Matters) == 0 || !$) {\n		c.Matters = append(c.Matters, m)\n"},
	}},
}
