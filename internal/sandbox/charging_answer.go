package sandbox

import (
	"strconv"
	"time"

	"tenu/internal/partner/ucip/xmlrpc"
	"tenu/internal/purchase"
)

// moved is the answer to a movement.
func (c *chargingCall) moved(a asking, note chargingNote) xmlrpc.Struct {
	answer := xmlrpc.Struct{"responseCode": 0, "currency1": note.After.Currency}
	if a.Leg != legCredit {
		answer["accountValue1"] = c.figure(note.After.Main)
		if b, isBundle := c.config.Bundles[note.Bundle]; isBundle {
			pocket := note.After.pocket(b.Code)
			answer["dedicatedAccountChangeInformation"] = []any{xmlrpc.Struct{"dedicatedAccountID": b.Account,
				"dedicatedAccountValue1": strconv.FormatInt(pocket.Balance, 10)}}
		}
		return answer
	}
	answer["masterAccountNumber"] = c.written(note.After.Number)
	answer["languageIDCurrent"] = 1
	answer["transactionAmount"] = c.members["transactionAmount"]
	answer["transactionCurrency"] = c.members["transactionCurrency"]
	answer["refillType"] = 1
	if c.members["requestRefillAccountBeforeFlag"] == true {
		answer["accountBeforeRefill"] = c.account(note.Before)
	}
	if c.members["requestRefillAccountAfterFlag"] == true {
		answer["accountAfterRefill"] = c.account(note.After)
	}
	return answer
}

// account is a standing as the structs before and after a refill state it.
func (c *chargingCall) account(s standing) xmlrpc.Struct {
	return xmlrpc.Struct{"serviceClassCurrent": 1, "accountValue1": c.figure(s.Main),
		"dedicatedAccountInformation": c.dedicated(s)}
}

// dedicated are the bundles of a standing.
func (c *chargingCall) dedicated(s standing) []any {
	list := []any{}
	seen := map[int64]bool{}
	for _, pocket := range s.Pockets {
		for _, b := range c.config.Bundles {
			if b.Code != pocket.Pocket || seen[b.Account] {
				continue
			}
			seen[b.Account] = true
			left := pocket.Balance
			if pocket.Expires != 0 && pocket.Expires <= c.now {
				left = 0
			}
			list = append(list, xmlrpc.Struct{"dedicatedAccountID": b.Account, "dedicatedAccountUnitType": 5,
				"dedicatedAccountValue1": strconv.FormatInt(left, 10), "expiryDate": lastDay(pocket.Expires)})
		}
	}
	return list
}

// lastDay writes a date alone as its noon in UTC, and no end as the year 9999
// (sections 8.1 and 8.3 of the guide).
func lastDay(end purchase.Instant) time.Time {
	if end == 0 {
		return time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC)
	}
	day := end.Time()
	return time.Date(day.Year(), day.Month(), day.Day(), 12, 0, 0, 0, time.UTC)
}

// figure writes minor units in the protocol's units.
func (c *chargingCall) figure(minor int64) string {
	return strconv.FormatInt(minor*c.config.PerMinor, 10)
}

// enquire answers a question about an account.
func (c *chargingCall) enquire(answer func(standing) xmlrpc.Struct) {
	if !c.identified() {
		return
	}
	number, known := c.number()
	if !known {
		c.respond(xmlrpc.Struct{"responseCode": 102})
		return
	}
	if !c.draw("account", number) {
		return
	}
	s, err := c.standing(c.book.View, number, string(c.config.Currency), c.now)
	if err != nil {
		c.broken(err)
		return
	}
	members := answer(s)
	members["responseCode"], members["languageIDCurrent"], members["serviceClassCurrent"] = 0, 1, 1
	members["supervisionExpiryDate"] = lastDay(c.now.Add(90 * 24 * time.Hour))
	members["serviceFeeExpiryDate"] = lastDay(c.now.Add(180 * 24 * time.Hour))
	c.respond(members)
}

func (c *chargingCall) balanceAndDate(s standing) xmlrpc.Struct {
	return xmlrpc.Struct{"currency1": s.Currency, "accountValue1": c.figure(s.Main), "dedicatedAccountInformation": c.dedicated(s)}
}

func (c *chargingCall) accountDetails(s standing) xmlrpc.Struct {
	members := xmlrpc.Struct{"masterAccountNumber": c.written(s.Number),
		"accountFlags": xmlrpc.Struct{"activationStatusFlag": true, "negativeBarringStatusFlag": false}}
	flags, _ := c.members["requestedInformationFlags"].(xmlrpc.Struct)
	if flags["requestMasterAccountBalanceFlag"] == true {
		members["currency1"], members["accountValue1"] = s.Currency, c.figure(s.Main)
	}
	return members
}
