package care

import "tenu/internal/purchase"

// Refusal is why something is not allowed. It is an ErrRefused.
type Refusal struct {
	Why   Why              // a word that the console explains
	At    purchase.Instant // when that may change by itself, 0 unknown
	Limit int64            // the bound that was met, minor units or requests; 0 where there is none
}

// Why is a word for why something is not allowed, or what became of a request. Those
// of a purchase's state machine (purchase.Hindrance) are used as they are.
type Why = string

// The words of what is not allowed.
const (
	WhyRole        Why = "role"         // the role may not, or not any more
	WhyDisabled    Why = "disabled"     // the account is disabled
	WhyOwn         Why = "own_number"   // their own number, or one that they declared
	WhyReason      Why = "reason"       // no reason was given
	WhyAmount      Why = "amount"       // no amount that can be given
	WhySingle      Why = "single"       // above what the role may ask for at once
	WhyDay         Why = "day"          // above what one person may ask for in a day
	WhyDayCount    Why = "day_count"    // more requests than one person may make in a day
	WhyNumberDay   Why = "number_day"   // above what may be asked for about a number in a day
	WhyNumberCount Why = "number_count" // more requests than may be made about a number in a day
	WhyGoodwill    Why = "goodwill"     // the month's goodwill is spent
	WhyUnderWay    Why = "under_way"    // one is under way
	WhyHad         Why = "had"          // one had its effect
	WhyNoHouse     Why = "no_house"     // nothing can be given here
	WhyNoEngine    Why = "no_engine"    // nothing can be asked of purchases here
	WhyUnproven    Why = "unproven"     // the rule acts on proof only
	WhySame        Why = "same"         // the maker does not check
	WhyMaker       Why = "maker"        // the maker's account was disabled meanwhile
	WhyApprove     Why = "approve"      // above what the role may approve
	WhyStage       Why = "stage"        // it does not wait for that
	WhyOver        Why = "over"         // the window is over, or the callback is closed
	WhySoon        Why = "soon"         // it is not time yet
	WhyRinging     Why = "ringing"      // an attempt is under way
	WhyOther       Why = "other"        // somebody else's attempt
)

// The words of what became of a request.
const (
	WhyAgreed    Why = "agreed"     // the recipient agreed
	WhyRecipient Why = "recipient"  // the recipient did not agree
	WhyNoConsent Why = "no_consent" // the recipient never answered
	WhyNoCheck   Why = "no_check"   // nobody checked it in time
	WhySettled   Why = "settled"    // the purchase settled otherwise
	WhyHouse     Why = "house"      // the house does not sell that to that number
	WhyUnknown   Why = "unknown"    // there is no such purchase
)

// Whys lists every word.
var Whys = []Why{WhyRole, WhyDisabled, WhyOwn, WhyReason, WhyAmount, WhySingle, WhyDay, WhyDayCount, WhyNumberDay, WhyNumberCount,
	WhyGoodwill, WhyUnderWay, WhyHad, WhyNoHouse, WhyNoEngine, WhyUnproven, WhySame, WhyMaker, WhyApprove, WhyStage, WhyOver, WhySoon,
	WhyRinging, WhyOther, WhyAgreed, WhyRecipient, WhyNoConsent, WhyNoCheck, WhySettled, WhyHouse, WhyUnknown}

// Error is the word, for logs.
func (r *Refusal) Error() string { return ErrRefused.Error() + ": " + r.Why }

// Unwrap makes it an ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }
