package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"tenu/internal/api"
)

// remote is a running tenu, reached through its API.
type remote struct {
	URL string `name:"url" help:"Where the API is; else TENU_URL, else http://127.0.0.1:8480."`
	Key string `name:"api-key" help:"The API key; better given in TENU_KEY than typed."`
}

// from takes from the caller's environment what was not given on the command line.
func (r *remote) from(a *app) error {
	r.URL = strings.TrimRight(cmp.Or(r.URL, a.env("TENU_URL"), "http://127.0.0.1:8480"), "/")
	r.Key = cmp.Or(r.Key, a.env("TENU_KEY"))
	if r.Key == "" {
		return usage(errors.New("no API key: set TENU_KEY"))
	}
	return nil
}

// answerLimit bounds what is read of an answer.
const answerLimit = 1 << 20

// call makes one request and reads its answer into out. A problem document
// comes back as a *api.Problem.
func (r *remote) call(ctx context.Context, method, path string, header http.Header, body, out any) error {
	var text io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write request: %w", err)
		}
		text = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.URL+path, text)
	if err != nil {
		return usage(fmt.Errorf("address of the API: %w", err))
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Authorization", "Bearer "+r.Key)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: time.Minute}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("reach the API: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("read the API's answer: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		problem := &api.Problem{Status: response.StatusCode}
		if err := json.Unmarshal(answer, problem); err != nil || problem.Code == "" {
			return fmt.Errorf("the API answers %s and no problem document", response.Status)
		}
		return problem
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the API's answer %s: %w", response.Status, err)
	}
	return nil
}
