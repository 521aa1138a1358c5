package plan

import "slices"

// A site is an expression of a service, and what it may refer to from where it stands.
type site struct {
	what     string
	purpose  purpose
	self     selfScope
	instance bool
	x        *expression
}

// A purpose is what an expression of a service is evaluated for.
type purpose uint8

const (
	toLayOut  purpose = iota
	toPlace           // on its host
	toBringUp         // and verify
	toEnd
)

// sites lists every expression of a service.
func (b *serviceBlock) sites() []site {
	var sites []site
	add := func(what string, purpose purpose, self selfScope, instance bool, xs ...*expression) {
		for _, x := range xs {
			if x != nil {
				sites = append(sites, site{what, purpose, self, instance, x})
			}
		}
	}
	add("count", toLayOut, noSelf, false, b.count)
	add("for_each", toLayOut, noSelf, false, b.forEach)
	add("enabled", toLayOut, noSelf, false, b.enabled)
	add("on", toLayOut, noSelf, true, b.on)
	add("runner", toLayOut, noSelf, true, b.runner)
	add("host", toPlace, noSelf, true, b.host)
	add("user_data", toBringUp, noSelf, true, b.userData)
	for _, a := range b.attributes {
		add("attributes", toBringUp, selfFacts, true, a.value)
	}
	for _, f := range b.files {
		add("a file block", toBringUp, selfAttributes, true, f.content, f.source, f.mode)
	}
	for _, p := range []*programBlock{b.boot, b.process} {
		if p != nil {
			add("the "+p.kind+" block", toBringUp, selfAttributes, true, p.expressions()...)
		}
	}
	for _, p := range b.ready {
		add("a ready block", toBringUp, selfAll, true, p.expressions()...)
	}
	if b.terminate != nil {
		add("the terminate block", toEnd, selfAll, true, b.terminate.expressions()...)
	}
	for _, p := range b.gone {
		add("a gone block", toEnd, selfAll, true, p.expressions()...)
	}
	return sites
}

// expressions are those of a service that serve one of purposes.
func (b *serviceBlock) expressions(purposes ...purpose) []*expression {
	var xs []*expression
	for _, site := range b.sites() {
		if slices.Contains(purposes, site.purpose) {
			xs = append(xs, site.x)
		}
	}
	return xs
}

func (p *programBlock) expressions() []*expression {
	return []*expression{p.program, p.args, p.command, p.script, p.env, p.dir, p.user, p.timeout, p.retries, p.retryDelay, p.stopSignal, p.stopTimeout}
}

func (p *probeBlock) expressions() []*expression {
	xs := []*expression{p.tcp, p.log, p.timeout, p.interval, p.attempts, p.from}
	if p.http != nil {
		xs = append(xs, p.http.url, p.http.status, p.http.body)
	}
	if p.program != nil {
		xs = append(xs, p.program.expressions()...)
	}
	return xs
}
