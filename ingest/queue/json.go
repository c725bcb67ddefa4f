package queue

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/postroad/postroad/event"
)

// sniffJSON tells a listing by the names in its first object.
func sniffJSON(text string) string {
	start := strings.TrimLeft(text, " \t\r\n")
	if start == "" {
		return ""
	}
	if start[0] != '{' && start[0] != '[' {
		i := max(strings.Index(text, "\n{"), strings.Index(text, "\n["))
		if i < 0 || strings.Count(text[:i], "\n") > 5 {
			return ""
		}
		start = text[i+1:]
	}
	has := func(names ...string) bool {
		for _, name := range names {
			if !strings.Contains(start, `"`+name+`"`) {
				return false
			}
		}
		return true
	}
	switch {
	case has("queue_id", "queue_name"), has("queue_id", "recipients", "arrival_time"):
		return PostfixJSON
	case has("MessageCount", "DeliveryType"), has("MessageCount", "NextHopDomain"), has("NextHopDomain", "Identity"):
		return Exchange
	case has("FromAddress", "Queue"), has("FromAddress", "DateReceived"):
		return ExchangeMessage
	}
	return ""
}

// objects calls read with each object of a text: one a line, or indented, in a list
// or one after the other. What is no object costs itself only: a text that is cut
// in the middle goes on with the next.
func (c *listing) objects(read func(object []byte, line int64) error) error {
	for {
		b, err := c.buf.ReadByte()
		if err != nil {
			c.err = err
			return nil //nolint:nilerr // Read tells it in the end
		}
		switch b {
		case '\n':
			c.n++
		case ' ', '\t', '\r', ',', '[', ']':
		case '{':
			if err := c.buf.UnreadByte(); err != nil {
				return err
			}
			line := c.n + 1
			object, why := c.object()
			if why == "" {
				c.read++
				if err := read(object, line); err != nil {
					return err
				}
			} else {
				c.skip(line, why)
			}
		default:
			if c.read > 0 {
				c.skip(c.n+1, event.SkipBroken)
			}
			if _, err := c.line(); err != nil {
				c.err = err
				return nil //nolint:nilerr // Read tells it in the end
			}
			c.n++
		}
	}
}

// object gives the bytes of an object that begins here.
func (c *listing) object() (object []byte, why event.Skip) {
	depth, quoted, escaped := 0, false, false
	for {
		b, err := c.buf.ReadByte()
		if err != nil {
			c.err = err
			if errors.Is(err, io.EOF) {
				return nil, event.SkipCut
			}
			return nil, event.SkipUnreadable
		}
		if b == '\n' {
			c.n++
			if quoted { // in JSON a line does not end in a text
				return nil, event.SkipBroken
			}
			if next, _ := c.buf.Peek(8); string(next) == `{"queue_` {
				return nil, event.SkipBroken
			}
		}
		if len(object) <= maxObject {
			object = append(object, b)
		}
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{':
			depth++
		case b == '}':
			depth--
		}
		if depth > 0 {
			continue
		}
		if len(object) > maxObject {
			return nil, event.SkipLong
		}
		return object, ""
	}
}

// postfixObject reads a message of "postqueue -j", see postqueue(1).
func (c *listing) postfixObject(object []byte, line int64) error {
	var m struct {
		Queue      string `json:"queue_name"`
		ID         string `json:"queue_id"`
		Arrival    int64  `json:"arrival_time"`
		Size       int64  `json:"message_size"`
		Sender     string `json:"sender"`
		Recipients []struct {
			Address string `json:"address"`
			Reason  string `json:"delay_reason"`
		} `json:"recipients"`
	}
	if json.Unmarshal(object, &m) != nil || m.ID == "" {
		c.skip(line, event.SkipBroken)
		return nil //nolint:nilerr // it is told to Skip
	}
	item := Item{QueueID: m.ID, Sender: address(m.Sender), Arrived: epoch(m.Arrival), Size: max(m.Size, 0),
		Active: m.Queue == "active", Held: m.Queue == "hold", Count: 1, Line: line}
	if len(m.Recipients) == 0 {
		return c.visit(item)
	}
	for _, r := range m.Recipients {
		item.Recipient, item.Reason = address(r.Address), r.Reason
		item.RemoteHost, item.RemoteIP = remote(r.Reason)
		if err := c.visit(item); err != nil {
			return err
		}
	}
	return nil
}
