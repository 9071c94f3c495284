package console

import (
	"net/http"

	"tenu/internal/auth"
	"tenu/internal/staff"
)

// route is one thing that the console answers: to anybody, to whoever is signed in
// (no action), or to those whose role may do something.
type route struct {
	pattern string
	open    bool
	action  auth.Action
	serve   func(*visit)
}

// routes is the whole surface.
func (c *Console) routes() []route {
	var shared []route
	for _, r := range staff.Routes() {
		serve := func(v *visit) { r.Serve(v.Visit) }
		if r.Pattern == "POST /signout" {
			serve = func(v *visit) { c.leaves(v); r.Serve(v.Visit) }
		}
		shared = append(shared, route{r.Pattern, r.Open, "", serve})
	}
	return append(shared, []route{
		{"GET /{$}", false, "", c.front},
		{"GET /live", false, "", c.live},
		{"GET /keys", false, "", c.keys},
		{"GET /banner", false, auth.SeeIncidents, c.banner},
		{"GET /telephone", false, auth.MakeCall, c.telephone},
		{"POST /telephone", false, auth.MakeCall, c.atTelephone},

		{"GET /search", false, auth.ViewCustomer, c.search},
		{"GET /customers/{number}", false, auth.ViewCustomer, c.customer},
		{"POST /customers/{number}", false, auth.ViewCustomer, c.reason},
		{"GET /customers/{number}/balance", false, auth.ViewCustomer, c.balance},
		{"POST /customers/{number}/callback", false, auth.PromiseCallback, c.promise},
		{"POST /customers/{number}/case", false, auth.OpenCase, c.openCase},
		{"GET /purchases/{reference}", false, auth.ViewCustomer, c.purchase},
		{"GET /purchases/{reference}/receipt", false, auth.ViewCustomer, c.receipt},
		{"GET /purchases/{reference}/receipt.svg", false, auth.ViewCustomer, c.receiptCode},
		{"GET /purchases/{reference}/receipt.txt", false, auth.ViewCustomer, c.receiptFile},
		{"GET /purchases/{reference}/receipt.pdf", false, auth.ViewCustomer, c.receiptPaper},
		{"POST /purchases/{reference}/ask", false, auth.AskAnswer, c.ask},

		{"GET /cases/{case}", false, auth.ViewCustomer, c.file},
		{"POST /cases/{case}", false, auth.Note, c.act},
		{"POST /cases/{case}/merge", false, auth.MergeCases, c.merge},
		{"POST /cases/{case}/files", false, auth.Note, c.attach},
		{"GET /cases/{case}/files/{file}", false, auth.ViewCustomer, c.attachment},

		{"GET /queue", false, auth.SeeQueues, c.queue},
		{"POST /queue", false, auth.Bulk, c.bulk},
		{"GET /approvals", false, auth.SeeQueues, c.approvals},
		{"POST /approvals", false, auth.Approve, c.decide},
		{"GET /calls", false, auth.SeeQueues, c.calls},
		{"POST /calls", false, auth.MakeCall, c.call},

		{"GET /incidents", false, auth.SeeIncidents, c.incidents},
		{"POST /incidents", false, auth.LeadIncidents, c.openIncident},
		{"GET /incidents/{incident}", false, auth.SeeIncidents, c.incident},
		{"POST /incidents/{incident}", false, auth.LeadIncidents, c.lead},
		{"GET /incidents/{incident}/report.html", false, auth.SeeIncidents, c.reportPage},
		{"GET /incidents/{incident}/report.pdf", false, auth.SeeIncidents, c.reportPaper},
		{"POST /pauses", false, auth.PauseSales, c.pauseSales},

		{"GET /breaks", false, auth.SeeBreaks, c.breaks},
		{"GET /breaks/{break}", false, auth.SeeBreaks, c.breakOf},
		{"POST /breaks/{break}", false, auth.DecideBreaks, c.decideBreak},
		{"GET /closes", false, auth.SeeBreaks, c.closes},
		{"GET /closes/{close}", false, auth.SeeBreaks, c.closeFile},

		{"GET /board", false, auth.SeeBoard, c.board},
		{"GET /board.json", false, auth.SeeBoard, c.boardData},
		{"POST /board/agents/{login}", false, auth.LeadAgents, c.setAway},
		{"GET /audit", false, auth.SeeAudit, c.audit},
		{"GET /macros", false, auth.SeeQueues, c.macros},
		{"POST /macros", false, auth.EditMacros, c.putMacro},
		{"GET /rules", false, auth.SeeBoard, c.rules},
		{"GET /rules/{rule}", false, auth.SeeBoard, c.rule},
		{"POST /rules/{rule}", false, auth.EditRules, c.putRule},
		{"GET /staff", false, auth.ManageStaff, c.people},
		{"POST /staff", false, auth.ManageStaff, c.hire},
		{"GET /staff/{login}", false, auth.ManageStaff, c.person},
		{"POST /staff/{login}", false, auth.ManageStaff, c.changePerson},
	}...)
}

func (c *Console) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /static/", c.site.Assets)
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	for _, r := range c.routes() {
		mux.Handle(r.pattern, c.visitor(&r))
	}
	mux.Handle("/", c.visitor(&route{open: true, serve: func(v *visit) { v.missing() }}))
	return mux
}

// front is where the day begins: the queue, or what else the role sees.
func (c *Console) front(v *visit) { v.see("/queue") }
