// Package auth tells who calls: clients of the API with keys of high entropy, of
// which only hashes are kept, their scopes, and the day each key ends; customers,
// by one-time codes; and staff, by password and authenticator, passkey or OpenID
// Connect, with what each role may do as one table. It knows nothing of HTTP but
// what it asks an OpenID provider, of purchases, or of where the list of clients
// comes from.
//
// How pages sign staff in: StaffDesk.SignIn for a form; AskPasskey and
// SignInByPasskey, where Ceremony.Options goes to navigator.credentials.get and
// Ceremony.State comes back beside its answer; AskOIDC, whose state goes into a
// cookie of the way back only, and SignInByOIDC with that cookie and the query's
// state and code. Each returns a token for the session's cookie. Who says with
// each request whose it is, as the account is now. ErrSignIn is all that a person
// who is not signed in is told, ErrLocked that too many tries came from there.
package auth

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Scope is one thing that a client may do.
type Scope string

// The scopes. An operation of the API names the one that it needs.
const (
	PurchasesWrite Scope = "purchases:write"
	PurchasesRead  Scope = "purchases:read"
	ProductsRead   Scope = "products:read"
	BalanceRead    Scope = "balance:read"
	CasesRead      Scope = "cases:read"
	CasesWrite     Scope = "cases:write"
	CasesAll       Scope = "cases:all" // with one of the others: not only the client's own
	RegulatorRead  Scope = "regulator:read"
)

// Scopes lists every scope.
var Scopes = []Scope{PurchasesWrite, PurchasesRead, ProductsRead, BalanceRead, CasesRead, CasesWrite, CasesAll, RegulatorRead}

// ErrKey is the one answer to a key that is absent, malformed, unknown, of
// another installation, or expired.
var ErrKey = errors.New("key not accepted")

// Client is a system that may call the API.
type Client struct {
	// Name identifies the client in purchases, logs and metrics.
	Name string
	// Channel is what its customers use: "api", "app", "ussd", "sms".
	Channel string
	Scopes  []Scope
	// Keys are valid side by side, so that a key can be replaced without a gap.
	Keys []Key
	// Rate is how many requests per second the client may make on average, Burst
	// how many at once, InFlight how many may be under way, and Streams how
	// many event streams may be open.
	Rate     float64
	Burst    int
	InFlight int
	Streams  int
}

// May reports whether the client has the scope.
func (c *Client) May(s Scope) bool { return slices.Contains(c.Scopes, s) }

// Key is one key of a client, by its hash.
type Key struct {
	Hash    Hash
	Expires time.Time // zero: never
}

// Book holds the clients. It is immutable and safe for concurrent use.
type Book struct {
	clients []Client
	keys    []entry
}

type entry struct {
	Key
	client int
}

// NewBook returns the book of the clients, or an error that names the first
// entry that cannot be: a bad name, a name or key given twice, no key, an
// unknown scope, a limit below one.
func NewBook(clients []Client) (*Book, error) {
	b := &Book{clients: slices.Clone(clients)}
	names, hashes := map[string]bool{}, map[Hash]string{}
	for i := range b.clients {
		c := &b.clients[i]
		if err := c.check(); err != nil {
			return nil, err
		}
		if names[c.Name] {
			return nil, fmt.Errorf("client %s is listed twice", c.Name)
		}
		names[c.Name] = true
		for _, key := range c.Keys {
			if other, taken := hashes[key.Hash]; taken {
				return nil, fmt.Errorf("client %s: a key of client %s is given again", c.Name, other)
			}
			hashes[key.Hash] = c.Name
			b.keys = append(b.keys, entry{key, i})
		}
	}
	return b, nil
}

func (c *Client) check() error {
	if err := CheckName(c.Name); err != nil {
		return err
	}
	if len(c.Keys) == 0 {
		return fmt.Errorf("client %s: no key", c.Name)
	}
	for _, s := range c.Scopes {
		if !slices.Contains(Scopes, s) {
			return fmt.Errorf("client %s: unknown scope %q", c.Name, s)
		}
	}
	if c.Rate <= 0 || c.Burst < 1 || c.InFlight < 1 || c.Streams < 1 {
		return fmt.Errorf("client %s: rate, burst, in flight and streams must be positive", c.Name)
	}
	return nil
}

// Clients returns the clients in the order they were listed. They must not be changed.
func (b *Book) Clients() []Client { return b.clients }

// Authenticate returns the client that holds the key at an instant, or ErrKey.
// Whatever the key, every entry is compared in constant time and the expiry is
// looked at last, so that neither answer nor time tells one refusal from another.
func (b *Book) Authenticate(key string, now time.Time) (*Client, error) {
	hash := HashKey(key)
	found := -1
	for i := range b.keys {
		same := subtle.ConstantTimeCompare(hash[:], b.keys[i].Hash[:])
		found = subtle.ConstantTimeSelect(same, i, found)
	}
	if found < 0 {
		return nil, ErrKey
	}
	e := &b.keys[found]
	if !e.Expires.IsZero() && !now.Before(e.Expires) {
		return nil, ErrKey
	}
	return &b.clients[e.client], nil
}
