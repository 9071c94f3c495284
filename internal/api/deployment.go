package api

import "context"

// Deployment is what an installation says of itself. Times are in milliseconds.
type Deployment struct {
	Version       string              `json:"version"`
	Test          bool                `json:"test" doc:"Whether the operator declares that this is a test deployment: its partners are sandboxes, no money of anybody is moved, and faults may be switched on."`
	Status        string              `json:"status,omitempty" doc:"Where the public status page is."`
	DeliverWithin int64               `json:"deliver_within_ms" doc:"After the charge the customer is told that it is late."`
	ResolveWithin int64               `json:"resolve_within_ms" doc:"Credited, refunded, or in exposure with a case by then."`
	Expected      int64               `json:"expected_ms" doc:"Within what time of its charge a purchase should be credited; what fails is found by what is not."`
	Partners      []DeploymentPartner `json:"partners,omitempty" doc:"Of a test deployment alone."`
}

// DeploymentPartner is a partner of a test deployment.
type DeploymentPartner struct {
	Name     string `json:"name" example:"wallet"`
	Role     string `json:"role" enum:"payer,provider,centre" doc:"The SMS centre is called centre."`
	Control  string `json:"control" doc:"Where the sandbox's switches and books are."`
	Lateness int64  `json:"lateness_ms,omitempty" doc:"The lateness that the partner promises; absent: none."`
}

type deploymentOut struct{ Body Deployment }

// deployed says what the installation is.
func (a *API) deployed(context.Context, *struct{}) (*deploymentOut, error) {
	return &deploymentOut{a.deployment}, nil
}
