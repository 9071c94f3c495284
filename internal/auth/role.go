package auth

// Role is what one of the staff is.
type Role string

// The roles.
const (
	Agent         Role = "agent"         // talks with customers and asks for what helps them
	Supervisor    Role = "supervisor"    // does all of that, decides on what others ask, and leads
	Administrator Role = "administrator" // keeps staff, rules and texts; asks for no money
	Auditor       Role = "auditor"       // sees everything and changes nothing
	Regulator     Role = "regulator"     // of the regulator's staff: sees what is published, and asks; nobody's customer
)

// Roles lists every role.
var Roles = []Role{Agent, Supervisor, Administrator, Auditor, Regulator}

// Action is one thing that staff may do.
type Action string

// The actions.
const (
	ViewCustomer    Action = "view_customer" // a customer with everything known of them, with a reason
	SeeQueues       Action = "see_queues"
	OpenCase        Action = "open_case"
	TakeCase        Action = "take_case" // own, give back, hand over, let wait, go on, settle
	Note            Action = "note"      // for ourselves and to the customer, attachments
	Escalate        Action = "escalate"
	MergeCases      Action = "merge_cases"
	Bulk            Action = "bulk" // one deed to many cases
	AskAnswer       Action = "ask_answer"
	AskCredit       Action = "ask_credit"
	AskRefund       Action = "ask_refund"
	AskReversal     Action = "ask_reversal"
	AskGoodwill     Action = "ask_goodwill"
	Approve         Action = "approve" // decide on what somebody else asks
	PromiseCallback Action = "promise_callback"
	MakeCall        Action = "make_call"   // answer calls, too
	LeadAgents      Action = "lead_agents" // set another's telephone away
	SeeBoard        Action = "see_board"
	SeeFigures      Action = "see_figures" // of agents
	SeeAudit        Action = "see_audit"   // who looked at whom
	EditMacros      Action = "edit_macros"
	EditRules       Action = "edit_rules"
	ManageStaff     Action = "manage_staff"
	SeeIncidents    Action = "see_incidents"
	LeadIncidents   Action = "lead_incidents" // open, own, tell the public, close; hold what is stuck
	PauseSales      Action = "pause_sales"    // and resume them
	SeeBreaks       Action = "see_breaks"     // what partners' statements say otherwise, closes and settlements
	DecideBreaks    Action = "decide_breaks"  // within the bounds of the role
	SeePublished    Action = "see_published"  // the regulator's portal
	AskOperator     Action = "ask_operator"   // as a regulator
	AnswerRegulator Action = "answer_regulator"
)

// Actions lists every action.
var Actions = []Action{ViewCustomer, SeeQueues, OpenCase, TakeCase, Note, Escalate, MergeCases, Bulk, AskAnswer, AskCredit, AskRefund, AskReversal,
	AskGoodwill, Approve, PromiseCallback, MakeCall, LeadAgents, SeeBoard, SeeFigures, SeeAudit, EditMacros, EditRules, ManageStaff,
	SeeIncidents, LeadIncidents, PauseSales, SeeBreaks, DecideBreaks, SeePublished, AskOperator, AnswerRegulator}

// allowed is the whole of who may do what.
var allowed = map[Action]map[Role]bool{
	ViewCustomer:    {Agent: true, Supervisor: true, Administrator: true, Auditor: true},
	SeeQueues:       {Agent: true, Supervisor: true, Administrator: true, Auditor: true},
	OpenCase:        {Agent: true, Supervisor: true},
	TakeCase:        {Agent: true, Supervisor: true},
	Note:            {Agent: true, Supervisor: true},
	Escalate:        {Agent: true, Supervisor: true},
	MergeCases:      {Agent: true, Supervisor: true},
	Bulk:            {Supervisor: true},
	AskAnswer:       {Agent: true, Supervisor: true},
	AskCredit:       {Agent: true, Supervisor: true},
	AskRefund:       {Agent: true, Supervisor: true},
	AskReversal:     {Agent: true, Supervisor: true},
	AskGoodwill:     {Agent: true, Supervisor: true},
	Approve:         {Supervisor: true, Administrator: true},
	PromiseCallback: {Agent: true, Supervisor: true},
	MakeCall:        {Agent: true, Supervisor: true},
	LeadAgents:      {Supervisor: true},
	SeeBoard:        {Supervisor: true, Administrator: true, Auditor: true},
	SeeFigures:      {Supervisor: true, Administrator: true, Auditor: true},
	SeeAudit:        {Supervisor: true, Administrator: true, Auditor: true},
	EditMacros:      {Supervisor: true, Administrator: true},
	EditRules:       {Administrator: true},
	ManageStaff:     {Administrator: true},
	SeeIncidents:    {Agent: true, Supervisor: true, Administrator: true, Auditor: true},
	LeadIncidents:   {Supervisor: true, Administrator: true},
	PauseSales:      {Supervisor: true, Administrator: true},
	SeeBreaks:       {Agent: true, Supervisor: true, Administrator: true, Auditor: true},
	DecideBreaks:    {Agent: true, Supervisor: true, Administrator: true},
	SeePublished:    {Regulator: true, Supervisor: true, Administrator: true, Auditor: true},
	AskOperator:     {Regulator: true},
	AnswerRegulator: {Supervisor: true, Administrator: true},
}

// May reports whether a role may do something. An unknown role may do nothing.
func (r Role) May(a Action) bool { return allowed[a][r] }
