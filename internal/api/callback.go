package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tenu/internal/purchase"
)

type callbackIn struct {
	Partner string `path:"partner" doc:"The partner's name."`
	RawBody []byte `doc:"As the partner's protocol has it."`

	request *http.Request
}

// Resolve keeps the request, by whose headers the partner authenticates.
func (in *callbackIn) Resolve(ctx huma.Context) []error {
	in.request, _ = humago.Unwrap(ctx)
	return nil
}

// callback hands a partner's news to the engine. Nothing is believed that does
// not authenticate, and nothing is acknowledged that is not durable.
func (a *API) callback(ctx context.Context, in *callbackIn) (*struct{}, error) {
	caller := a.callers[in.Partner]
	if caller == nil {
		// Not told from a partner's forged callback, so that names cannot be tried out.
		return nil, a.forged(ctx, "unknown", errors.New("no such partner"))
	}
	id, event, err := caller.Callback(in.request, in.RawBody)
	switch {
	case errors.Is(err, ErrForged):
		return nil, a.forged(ctx, in.Partner, err)
	case err != nil:
		a.meter.CallbackRefused(in.Partner)
		return nil, problem(CodeCallbackBody, "").because(err)
	}
	callOf(ctx).about = id
	err = a.engine.Callback(ctx, id, event)
	switch {
	case errors.Is(err, purchase.ErrNotFound):
		// Our key, authenticated, and no purchase: a store restored from an older backup.
		a.log.ErrorContext(ctx, "callback for a purchase that is not in the store", "partner", in.Partner, "purchase", int64(id))
		return nil, problem(CodeUnavailable, "not known here").because(err).after(time.Minute)
	case err != nil:
		return nil, problem(CodeUnavailable, "not taken; send it again").because(err).after(time.Second)
	}
	return nil, nil //nolint:nilnil // huma's way of saying 204
}

// forged refuses a callback that is not authentic, and raises the alarm.
func (a *API) forged(ctx context.Context, partner string, cause error) *Problem {
	a.meter.CallbackRefused(partner)
	a.log.LogAttrs(ctx, slog.LevelWarn, "callback refused as forged", slog.String("partner", partner),
		slog.String("request", callOf(ctx).id), slog.String("error", cause.Error()))
	return problem(CodeCallback, "")
}
