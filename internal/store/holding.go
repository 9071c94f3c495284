package store

import "strings"

// holding says what a table may hold of a person, column by column, and what becomes of it
// when a number is erased. Each column of the schema is in exactly one of the lists: a test
// fails for one that is not, on both databases.
type holding struct {
	table string
	// key are the columns that name a row.
	key string
	// mine links rows to a number, as column=list: N is the number itself, P its purchases,
	// K its cases, C its callbacks, B the breaks of its purchases and of itself, I the incidents
	// that its purchases are linked to.
	mine string
	// at is the column that says when a row was made, "" for none. What is made after an erasure began is not
	// touched by it: the number may be used again.
	at string
	// drop: rows that are linked to the number, or hold it, are deleted. Otherwise they stay
	// and what follows is done to their columns.
	drop bool

	// number holds a number: what stands for the erased one is put in its place.
	number string
	// text is what people wrote, or partners said, of a person: emptied in rows that are linked
	// to the number, and rid of it in others.
	text string
	// where limits the rows whose texts are emptied, as SQL in which {n} is the number; in others
	// the number alone is taken out.
	where string
	// name is a text by which something is found; what stands for the number is put in its place.
	name string
	// sealed are those columns, among the texts and own, that are sealed before they are stored (seal.go): what a person
	// wrote of a customer, or a customer wrote or was sent, and what partners wrote of one by one, where no query looks
	// into it. Plain stay what is searched or ordered by (numbers, names), what partners answer in the course of a purchase
	// (evidence), what lives for hours, and what is written of operations and not of a customer.
	sealed string
	// own has code of its own, or is deleted with the row; see the function erased.
	own string
	// plain cannot hold a number: codes, amounts, instants, identities, names from the
	// configuration or of staff, secrets, hashes of what is not a number, and figures without persons.
	plain string
}

// spokenEntries are the entries of a case's history that hold somebody's words. By_kind 3 to 5 are staff, customers and
// clients; of the events that are named the text is a word of ours.
const spokenEntries = `(by_kind BETWEEN 3 AND 5 AND event NOT IN ('opened', 'matter', 'taken', 'settled', 'prefers', 'linked', 'asked', 'decided',
	'merged', 'call') OR event = 'done')`

// holdings is every table of the schema.
var holdings = []holding{
	{table: "purchase", key: "id", mine: "id=P", at: "created_at", number: "payer_number recipient", name: "client_key", own: "digest salt",
		plain: `id version epoch total fee units created_at charged_at closed_at deliver_by resolve_by refund_by watch_till due_at charged held
			offer told state bundle again orphan exposed unproven doubt closed acknowledged client channel language payer provider product
			currency charged_currency`},
	{table: "attempt", key: "purchase leg try", mine: "purchase=P", plain: "purchase version at leg try partner"},
	{table: "evidence", key: "purchase version", mine: "purchase=P", at: "at", number: "account", text: "detail", name: "ref product",
		plain: "purchase version at amount balance leg source kind partner currency reason"},
	{table: "account", key: "id", plain: "id name currency"},
	{table: "posting", key: "purchase leg effect", mine: "purchase=P", plain: "purchase version debit credit amount at leg effect"},
	{table: "balance", key: "account stripe", plain: "account stripe amount"},
	{table: "notice", key: "purchase fact to_number", mine: "to_number=N purchase=P", at: "at", number: "to_number", text: "text", where: "to_number = {n}",
		plain: "purchase version at sent_at fact language"},
	{table: "care_case", key: "purchase matter", mine: "purchase=P", plain: "purchase version at matter taken"},
	{table: "lease", key: "epoch", plain: "epoch renewals fenced node"},
	{table: "parked", key: "seq", mine: "purchase=P", at: "at", number: "account", text: "detail", name: "ref product",
		plain: "seq purchase at asked_at amount balance leg source kind currency reason"},
	{table: "sequence", key: "shard", plain: "shard next"},
	{table: "meta", key: "name", plain: "name value"},
	{table: "report", key: "purchase number matter", mine: "number=N purchase=P", at: "at", number: "number meant", text: "detail", where: "number = {n}",
		sealed: "detail",
		plain:  "purchase at matter channel taken"},
	{table: "callback", key: "id", mine: "id=C", at: "at", number: "number", text: "reason",
		sealed: "reason",
		plain:  `id purchase at window_at closed_at state channel language version case_id owner next_at due_at told_at alerted follows tries trying`},
	{table: "checkout", key: "key", mine: "number=N", at: "at", drop: true, number: "number", text: "wish", name: "key earlier", plain: "at go_at purchase total state problem"},
	{table: "one_time_code", key: "number", mine: "number=N", drop: true, number: "number", own: "hash", plain: "at till tries"},
	{table: "tally", key: "name since", at: "since", drop: true, name: "name", plain: "since till count"},
	{table: "session", key: "token", drop: true, own: "data", plain: "token till"},
	{table: "ussd_session", key: "number", mine: "number=N", at: "at", drop: true, number: "number", text: "typed dropped_typed", name: "session dropped",
		plain: "at began dropped_began ended"},
	{table: "customer", key: "number", mine: "number=N", at: "at", drop: true, number: "number", plain: "at language muted"},
	{table: "favourite", key: "number recipient", mine: "number=N recipient=N", at: "at", drop: true, number: "number recipient", text: "name", plain: "at"},
	{table: "push_subscription", key: "endpoint", mine: "number=N", at: "at", drop: true, number: "number", own: "endpoint key secret", plain: "at"},
	{table: "delivery", key: "centre ref", at: "at", text: "detail", name: "ref message", plain: "centre at told_at state"},
	{table: "staff", key: "id", plain: `id version sessions_from locked_to totp_step failed disabled must_change login name role language subject password totp`},
	// A number of a member of staff is theirs: it is not erased before it is taken off the account.
	{table: "staff_number", key: "staff number", plain: "staff number"},
	{table: "passkey", key: "id", plain: "id staff at count name data"},
	{table: "staff_session", key: "hash", plain: "hash staff at seen_at till method address browser"},
	{table: "staff_change", key: "id", at: "at", text: "what", plain: "id at staff who"},
	{table: "case_file", key: "id", mine: "id=K", at: "opened_at", number: "number", text: "digest",
		sealed: "digest",
		plain: `id version purchase owner owner_till opened_at answer_by resolve_by paused_at answered_at treated_at due_at closed_at changed_at
			merged_into status outcome prefer level reopened code matters rule incident channel language`},
	{table: "case_entry", key: "case_id seq", mine: "case_id=K", at: "at", text: "text", where: spokenEntries, sealed: "text",
		plain: "case_id seq at staff by_kind by_name event"},
	{table: "care_message", key: "id", mine: "to_number=N", at: "at", number: "to_number", text: "text", name: "once", sealed: "text",
		plain: "id case_id callback at sent_at language"},
	{table: "request", key: "id", mine: "number=N recipient=N purchase=P", at: "at", number: "number recipient", text: "reason why",
		where:  "number = {n} OR recipient = {n}",
		sealed: "reason why",
		plain:  `id version purchase case_id amount maker checker at due_at decided_at closed_at result stage unproven tries kind product rule`},
	{table: "callback_attempt", key: "callback try", mine: "callback=C", at: "at", name: "ref", plain: "callback try staff at ended_at ring"},
	{table: "care_rule", key: "name version", plain: "name version at staff place amount budget active by_kind by_name step asks"},
	{table: "treatment", key: "case_id rule version", mine: "case_id=K", at: "at", name: "result", plain: "case_id at amount version rule step"},
	{table: "look", key: "id", mine: "number=N purchase=P case_id=K", at: "at", number: "number", text: "reason", sealed: "reason",
		plain: "id at staff purchase case_id"},
	{table: "macro", key: "name language", plain: "name language version text"},
	{table: "attachment", key: "id", mine: "case_id=K", at: "at", drop: true, text: "name", own: "data", sealed: "name data",
		plain: "id case_id at staff size by_kind by_name type"},
	{table: "bulk", key: "id", at: "at", text: "deed", sealed: "deed", plain: "id staff at go_at closed_at done failed undone cases version"},
	{table: "case_external", key: "client case_id external_id", mine: "case_id=K", at: "at", name: "external_id", plain: "case_id at agreed_at client"},
	{table: "hook_listener", key: "id", plain: "id at client url query"},
	{table: "hook_delivery", key: "listener case_id seq", at: "at", text: "problem", plain: "case_id seq at tried_at next_at tries state listener"},
	{table: "sales_pause", key: "id", at: "at", text: "reason end_reason said",
		plain: `id version dimension at ended_at share held staff ended_by incident tries good falls failing step_at try_at next_at name`},
	{table: "incident", key: "id", at: "seen_at", text: "title text",
		plain: `id version owner since seen_at paused_at recovered_at resolved_at closed_at expected_at changed_at told dimension status severity
			share graded worded name rule party owed`},
	{table: "incident_entry", key: "incident seq", at: "at", text: "text", plain: "incident seq at staff event"},
	{table: "incident_purchase", key: "incident purchase", mine: "purchase=P", at: "at", number: "number", plain: "incident purchase at round"},
	{table: "incident_customer", key: "incident number", mine: "incident=I", number: "number", plain: "incident purchase told_at ended_at said language round told_round"},
	{table: "stuck_hold", key: "partner", at: "at", text: "reason", plain: "at staff partner"},
	{table: "status_subscription", key: "number dimension name", mine: "number=N", at: "at", drop: true, number: "number", plain: "dimension at name language"},
	// One bit of 64 for a recipient, for as long as a node counts: it leads to nobody.
	{table: "node_tally", key: "epoch", plain: "epoch seq data"},
	// The log has commitments only, and what opens them is purchase.salt.
	{table: "log_batch", key: "id", plain: "id epoch leaves raw"},
	{table: "log_queue", key: "batch", plain: "batch"},
	{table: "log_place", key: "first batch", plain: "first batch leaves low high seal"},
	{table: "log_state", key: "one", plain: "one size seals begun sealed_at signed checkpoint"},
	{table: "log_tile", key: "level n", plain: "n level data"},
	{table: "open_purchase", key: "epoch purchase", plain: "epoch purchase"},
	{table: "statement", key: "id", at: "at", name: "name", plain: "id at from_at to_at lines replaced partial kept partner format zone digest sums tally"},
	{table: "statement_part", key: "statement seq", own: "lines", sealed: "lines", plain: "statement seq first"},
	{table: "statement_break", key: "id", mine: "id=B", at: "first_at", number: "number", text: "reason", name: "ref detail correction",
		plain: `id version purchase statement here there moved_at first_at found_at changed_at place maker checker reopened looked_at cause leg status
			by_table customer partner party currency`},
	{table: "statement_break_entry", key: "break_id seq", mine: "break_id=B", at: "at", text: "text", where: "staff <> 0", plain: "break_id seq at staff event"},
	// A close names breaks and purchases, and no number (reconcile.OpenBreak). It is signed.
	{table: "day_close", key: "seq", plain: "seq corrects at day note"},
	{table: "incident_listener", key: "id", plain: "id at client url query"},
	{table: "incident_delivery", key: "listener incident seq", at: "at", text: "problem", plain: "incident seq at tried_at next_at tries state listener"},
	{table: "sales_refused", key: "pause minute", plain: "pause minute refused"},
	{table: "regulator_day", key: "day", plain: "day zone from_at till_at closed_at figures digest"},
	{table: "regulator_correction", key: "day at", plain: "day at figures changed digest"},
	{table: "regulator_item", key: "purchase account currency day noted_at", plain: "purchase account currency day noted_at amount since"},
	{table: "regulator_publication", key: "month", plain: "month at staff version head profile data digest signature"},
	{table: "regulator_file", key: "month name", plain: "month name type digest data"},
	{table: "regulator_question", key: "id", at: "at", text: "subject text answer", plain: "id at staff due_at answered_at answered_by"},
	// An agent has a number for as long as a call.
	{table: "agent", key: "staff", mine: "number=N purchase=P", at: "since", number: "number", plain: "staff version since till purchase case_id callback state extension call"},
	{table: "call", key: "id", mine: "number=N purchase=P", at: "at", number: "number",
		plain: "id purchase case_id callback staff at answered_at queued_at taken_at ended_at unrecorded trunk language incident release"},
	{table: "call_refused", key: "hour epoch", plain: "hour epoch refused"},
	{table: "sealing_key", key: "id", plain: "id at recipients wrapped"},
	{table: "erasure", key: "id", text: "reason by_name", own: "number", plain: "id version at done_at instead purchases commitments cases changed cause"},
}

// columns are all that the table says of a table, each once.
func (h *holding) columns() []string {
	return strings.Fields(h.number + " " + h.text + " " + h.name + " " + h.own + " " + h.plain)
}

// texts are the columns in which a number is looked for.
func (h *holding) texts() []string { return strings.Fields(h.text + " " + h.name) }

func (h *holding) numbers() []string { return strings.Fields(h.number) }

func (h *holding) seals() []string { return strings.Fields(h.sealed) }

func (h *holding) keys() []string { return strings.Fields(h.key) }

// links are the columns that lead from a number to the table's rows, by list.
func (h *holding) links() (all [][2]string) {
	for _, l := range strings.Fields(h.mine) {
		column, list, _ := strings.Cut(l, "=")
		all = append(all, [2]string{column, list})
	}
	return all
}
