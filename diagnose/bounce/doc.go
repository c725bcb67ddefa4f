// Package bounce reads what comes back: reports about mail that was sent.
//
// In comes one mail ([Read]) or the text of one that somebody pasted
// ([ReadText]); out goes a [Report]: what kind of mail it is, and the facts it
// states, one event.Bounce for each recipient or one event.Complaint. Nothing
// is judged here but the form: why a delivery failed is the business of package
// diagnose, which is given the reply that was found.
//
// The reading goes through layers, the surest first. A delivery status of RFC
// 3464 counts, wherever and however badly it stands in the mail. Then the words
// count: reports of all programs are alike in that an introduction ("could not
// be delivered to the following address"), the addresses, a reason, a mark and
// the returned message follow each other, in this order. What the introductions
// and marks say is data (phrases.txt); how they are put together is find.go.
// Last comes what can be told from the envelope and the returned message alone.
// A mail becomes a report only if its envelope says so too: people quote
// bounces, and a quoted one is no bounce.
//
// Everything is a pure function of the mail, bounded in the number of results
// and the text that is looked at, and linear in it. Nothing is kept and nothing
// survives a crash. Used by explain, and by whatever takes in a mailbox.
package bounce
