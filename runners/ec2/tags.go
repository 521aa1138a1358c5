package ec2

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Tags of launch's own. They are what `launch clean` and `launch adopt` find
// again, on any machine, so their names and meaning do not change.
const (
	tagPrefix  = "launch:"
	tagRun     = "launch:run"      // the run's name
	tagRunID   = "launch:run-id"   // the run's ULID: names can be used again, this cannot
	tagPlan    = "launch:plan"     // the plan's directory
	tagBatch   = "launch:batch"    // the client token of the call that started it
	tagService = "launch:service"  // whose it is, where it was tagged by itself
	tagShared  = "launch:services" // whose the instances of its batch are, by launch index; see shareOut
	tagHostKey = "launch:host-key" // fingerprint of the SSH host key that it was given
)

// The limits of EC2, and how launch divides the 50 tags of an instance.
const (
	maxTagKey    = 127
	maxTagValue  = 255
	maxSharedTag = 12 // launch:services, launch:services.2, …
	maxUserTags  = 50 - maxSharedTag - 8
)

// shareOut writes a batch's services, in the order of their instances' launch
// indexes, as tag values. One call tags all instances of a batch alike, so each
// of them tells of all: an instance is that of the service which stands at its
// launch index. Services whose addresses count upwards take one entry together,
// so a batch of web[0] to web[99] is "web[0]~100". ok is false where they do
// not fit, and a batch must be smaller.
func shareOut(services []string) (values []string, ok bool) {
	var line string
	for len(services) > 0 {
		n := countUp(services)
		entry := escapeEntry(services[0])
		if n > 1 {
			entry += "~" + strconv.Itoa(n)
		}
		services = services[n:]
		switch {
		case len(entry) > maxTagValue:
			return nil, false
		case line == "":
			line = entry
		case len(line)+1+len(entry) > maxTagValue:
			values = append(values, line)
			line = entry
		default:
			line += " " + entry
		}
	}
	if line != "" {
		values = append(values, line)
	}
	return values, len(values) <= maxSharedTag
}

// escapeEntry keeps an address from being taken for the notation around it.
func escapeEntry(address string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "~", "%7E").Replace(address)
}

// countUp is how many of the first addresses are x[i], x[i+1], x[i+2] …
func countUp(services []string) int {
	prefix, first, ok := indexed(services[0])
	if !ok {
		return 1
	}
	n := 1
	for n < len(services) && services[n] == prefix+"["+strconv.Itoa(first+n)+"]" {
		n++
	}
	return n
}

func indexed(address string) (prefix string, index int, ok bool) {
	open := strings.LastIndexByte(address, '[')
	if open < 0 || !strings.HasSuffix(address, "]") {
		return "", 0, false
	}
	digits := address[open+1 : len(address)-1]
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 || strconv.Itoa(index) != digits {
		return "", 0, false
	}
	return address[:open], index, true
}

// sharedTags are the tags that hold a batch's services.
func sharedTags(values []string) map[string]string {
	tags := map[string]string{}
	for i, v := range values {
		tags[sharedKey(i)] = v
	}
	return tags
}

func sharedKey(i int) string {
	if i == 0 {
		return tagShared
	}
	return tagShared + "." + strconv.Itoa(i+1)
}

// maxShared bounds what a tag, which anyone may have written, makes launch build.
const maxShared = 1000

var errShared = errors.New("the " + tagShared + " tags cannot be read")

// readShared reads the services of a batch from an instance's tags. Without such
// tags there are none.
func readShared(tags map[string]string) ([]string, error) {
	var services []string
	for i := range maxSharedTag {
		value, ok := tags[sharedKey(i)]
		if !ok {
			break
		}
		for entry := range strings.SplitSeq(value, " ") {
			text, count, many := strings.Cut(entry, "~")
			address, err := url.PathUnescape(text)
			if err != nil || address == "" {
				return nil, errShared
			}
			if !many {
				services = append(services, address)
				continue
			}
			n, err := strconv.Atoi(count)
			prefix, first, ok := indexed(address)
			if err != nil || !ok || n < 1 || n > maxShared {
				return nil, errShared
			}
			for k := range n {
				services = append(services, fmt.Sprintf("%s[%d]", prefix, first+k))
			}
		}
		if len(services) > maxShared {
			return nil, errShared
		}
	}
	return services, nil
}

// serviceOf is whose instance it is by its tags, "" where they do not tell.
func serviceOf(tags map[string]string, launchIndex int) string {
	if s := tags[tagService]; s != "" {
		return s
	}
	services, err := readShared(tags)
	if err != nil || launchIndex < 0 || launchIndex >= len(services) {
		return ""
	}
	return services[launchIndex]
}

// cut makes a value fit for a tag; what matters of a path is its end.
func cut(value string) string {
	r := []rune(value)
	if len(r) <= maxTagValue {
		return value
	}
	return "…" + string(r[len(r)-maxTagValue+1:])
}
