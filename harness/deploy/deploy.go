// Package deploy reads deployment files: which dispatchers, nodes and agents a
// harness has, and on which engines and broker.
package deploy

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/launchplan/launch/harness/wire"
)

// A Deployment is what a harness runs.
type Deployment struct {
	Engines     []wire.Engine `json:"engines"`
	Dispatchers []Dispatcher  `json:"dispatchers"`
	Nodes       []Node        `json:"nodes"`
	Broker      *Broker       `json:"broker,omitempty"` // nil: embedded
}

// A Dispatcher is one dispatcher daemon.
type Dispatcher struct {
	Name             string        `json:"name"`
	MinStartInterval wire.Duration `json:"min_start_interval,omitempty"`
	Replicas         int           `json:"replicas,omitempty"`
}

// A Node is a virtual machine: agents that are there and gone together.
type Node struct {
	Name       string            `json:"name"`
	Engine     string            `json:"engine"`
	Properties map[string]string `json:"properties"`
	Agents     []Agent           `json:"agents"`
}

// An Agent is one agent daemon.
type Agent struct {
	Name       string            `json:"name"`
	Engine     string            `json:"engine"`
	Slots      int               `json:"slots"` // 0: as the engine says
	Properties map[string]string `json:"properties"`
}

// A Broker is one that the harness does not run itself.
type Broker struct {
	URL         string `json:"url"`
	Credentials string `json:"credentials"`
	CA          string `json:"ca,omitempty"`
	Cert        string `json:"cert,omitempty"`
	Key         string `json:"key,omitempty"`
}

// Default is the deployment without a file: one of each.
func Default() *Deployment {
	engine := wire.Engine{Name: "default", BaseNeed: 1, Default: true}
	if err := engine.Check(); err != nil {
		panic(err)
	}
	return &Deployment{
		Engines:     []wire.Engine{engine},
		Dispatchers: []Dispatcher{{Name: "pd"}},
		Nodes: []Node{{
			Name: "one", Engine: "default", Properties: map[string]string{},
			Agents: []Agent{{Name: "one-a", Engine: "default", Properties: map[string]string{}}},
		}},
	}
}

// maxFile bounds a deployment file.
const maxFile = 4 << 20

// Load reads a deployment file. The files are for showing the diagnostics.
func Load(path string) (*Deployment, map[string]*hcl.File, hcl.Diagnostics) {
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Size() > maxFile) {
		err = fmt.Errorf("it is not a regular file of at most %d MiB", maxFile>>20)
	}
	var src []byte
	if err == nil {
		src, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Unreadable deployment file",
			Detail: fmt.Sprintf("The deployment file %s cannot be read: %v.", path, err),
		}}
	}
	return Parse(src, path)
}

// Parse reads the source of a deployment file.
func Parse(src []byte, name string) (*Deployment, map[string]*hcl.File, hcl.Diagnostics) {
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	files := map[string]*hcl.File{name: file}
	if diags.HasErrors() {
		return nil, files, diags
	}
	p := &parser{names: map[string]hcl.Range{}, engines: map[string]hcl.Range{}}
	p.file(file.Body)
	if p.diags.HasErrors() {
		return nil, files, p.diags
	}
	return &p.result, files, p.diags
}

var fileSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: "engine", LabelNames: []string{"name"}},
	{Type: "dispatcher", LabelNames: []string{"name"}},
	{Type: "node", LabelNames: []string{"name"}},
	{Type: "broker"},
}}

// parser collects the deployment and all mistakes in its file.
type parser struct {
	result  Deployment
	diags   hcl.Diagnostics
	names   map[string]hcl.Range // of dispatchers, nodes and agents: commands take any of them
	engines map[string]hcl.Range
	uses    []engineUse
}

type engineUse struct {
	name string
	rng  hcl.Range
}

func (p *parser) file(body hcl.Body) {
	content, diags := body.Content(fileSchema)
	p.diags = append(p.diags, diags...)
	for _, block := range content.Blocks {
		switch block.Type {
		case "engine":
			p.engine(block)
		case "dispatcher":
			p.dispatcher(block)
		case "node":
			p.node(block)
		case "broker":
			p.broker(block)
		}
	}
	p.complete()
}

// complete fills in what was left out, and resolves the references to engines.
func (p *parser) complete() {
	d := &p.result
	if len(d.Engines) == 0 {
		d.Engines = Default().Engines
		p.engines["default"] = hcl.Range{}
	}
	for _, u := range p.uses {
		if _, ok := p.engines[u.name]; !ok {
			p.errorf(u.rng, "Unknown engine", "There is no engine %q in this deployment; it has %s.", u.name, quoted(slices.Sorted(maps.Keys(p.engines))))
		}
	}
	def := p.defaultEngine()
	if len(d.Dispatchers) == 0 {
		d.Dispatchers = Default().Dispatchers
	}
	for i := range d.Nodes {
		n := &d.Nodes[i]
		if n.Engine == "" {
			n.Engine = def
		}
		for j := range n.Agents {
			if n.Agents[j].Engine == "" {
				n.Agents[j].Engine = n.Engine
			}
		}
	}
}

// defaultEngine is the one marked so, else the one named default, else the first; it
// is marked from now on.
func (p *parser) defaultEngine() string {
	list := p.result.Engines
	chosen := slices.IndexFunc(list, func(e wire.Engine) bool { return e.Default })
	if chosen < 0 {
		chosen = max(0, slices.IndexFunc(list, func(e wire.Engine) bool { return e.Name == "default" }))
	}
	list[chosen].Default = true
	return list[chosen].Name
}

func (p *parser) engine(block *hcl.Block) {
	e := wire.Engine{Name: block.Labels[0]}
	a := p.attributes(block.Body, "slots", "base_need", "spare_slots", "maximum", "heartbeat", "warning", "missing", "default")
	a.number("slots", 1, wire.MaxSlots, &e.Slots)
	a.number("base_need", 0, maxCount, &e.BaseNeed)
	a.number("spare_slots", 0, maxCount, &e.SpareSlots)
	a.number("maximum", 0, maxCount, &e.Maximum)
	a.duration("heartbeat", wire.MinHeartbeat.Std(), wire.MaxHeartbeat.Std(), &e.Heartbeat)
	a.number("warning", 1, 1000, &e.Warning)
	a.number("missing", 1, 1000, &e.Missing)
	a.boolean("default", &e.Default)
	if before, ok := p.engines[e.Name]; ok {
		p.errorf(block.LabelRanges[0], "Duplicate engine", "An engine %q is declared at %s already.", e.Name, before)
		return
	}
	if e.Default {
		for _, other := range p.result.Engines {
			if other.Default {
				p.errorf(block.DefRange, "Two default engines", "Engine %q and engine %q both say that they are the default one.", other.Name, e.Name)
			}
		}
	}
	p.engines[e.Name] = block.LabelRanges[0]
	if !a.failed {
		if err := e.Check(); err != nil {
			p.errorf(block.LabelRanges[0], "Impossible engine", "%s.", capital(err.Error()))
		}
	}
	p.result.Engines = append(p.result.Engines, e)
}

// maxCount bounds numbers of nodes.
const maxCount = 1 << 20

func (p *parser) dispatcher(block *hcl.Block) {
	d := Dispatcher{Name: block.Labels[0]}
	a := p.attributes(block.Body, "min_start_interval", "replicas")
	a.duration("min_start_interval", time.Millisecond, time.Hour, &d.MinStartInterval)
	a.number("replicas", 1, 5, &d.Replicas)
	if p.name("dispatcher", block) {
		p.result.Dispatchers = append(p.result.Dispatchers, d)
	}
}

func (p *parser) node(block *hcl.Block) {
	n := Node{Name: block.Labels[0], Properties: map[string]string{}}
	content, rest, diags := block.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "agent", LabelNames: []string{"name"}}}})
	p.diags = append(p.diags, diags...)
	a := p.attributes(rest, "engine", "properties")
	p.engineRef(a, &n.Engine)
	a.properties("properties", n.Properties)
	ok := p.name("node", block)
	for _, inner := range content.Blocks {
		p.agent(&n, inner)
	}
	if len(content.Blocks) == 0 {
		name := n.Name + "-a"
		if before, used := p.names[name]; used {
			p.errorf(block.DefRange, "Duplicate name", "Node %q has no agent block, so its agent is named %q, but that name is used at %s already.", n.Name, name, before)
		}
		p.names[name] = block.DefRange
		n.Agents = []Agent{{Name: name, Properties: map[string]string{}}}
	}
	if ok {
		p.result.Nodes = append(p.result.Nodes, n)
	}
}

func (p *parser) agent(n *Node, block *hcl.Block) {
	ag := Agent{Name: block.Labels[0], Properties: map[string]string{}}
	a := p.attributes(block.Body, "engine", "slots", "properties")
	p.engineRef(a, &ag.Engine)
	a.number("slots", 1, wire.MaxSlots, &ag.Slots)
	a.properties("properties", ag.Properties)
	if p.name("agent", block) {
		n.Agents = append(n.Agents, ag)
	}
}

func (p *parser) broker(block *hcl.Block) {
	if p.result.Broker != nil {
		p.errorf(block.DefRange, "Second broker", "A deployment has one broker; several servers of one cluster go into one url, with commas.")
		return
	}
	b := &Broker{}
	content, rest, diags := block.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "tls"}}})
	p.diags = append(p.diags, diags...)
	a := p.attributes(rest, "url", "credentials")
	a.url("url", &b.URL)
	a.text("credentials", &b.Credentials)
	if b.URL == "" && !a.failed {
		p.errorf(block.DefRange, "Broker without url", "A broker block is for a broker that runs elsewhere, so it needs its url. Without the block, the harness runs one of its own.")
	}
	for i, tls := range content.Blocks {
		if i > 0 {
			p.errorf(tls.DefRange, "Second tls block", "The broker at %s has its tls block already.", block.DefRange)
			continue
		}
		t := p.attributes(tls.Body, "ca", "cert", "key")
		t.text("ca", &b.CA)
		t.text("cert", &b.Cert)
		t.text("key", &b.Key)
		if (b.Cert == "") != (b.Key == "") {
			p.errorf(tls.DefRange, "Half a certificate", "A client certificate needs both cert and key.")
		}
	}
	p.result.Broker = b
}

// name takes a name, which commands use to say what they mean.
func (p *parser) name(kind string, block *hcl.Block) bool {
	name := block.Labels[0]
	if err := wire.CheckName(kind, name); err != nil {
		p.errorf(block.LabelRanges[0], "Impossible name", "%s.", capital(err.Error()))
		return false
	}
	if name == "broker" {
		p.errorf(block.LabelRanges[0], "Impossible name", "%q is what commands call the broker.", name)
		return false
	}
	if before, ok := p.names[name]; ok {
		p.errorf(block.LabelRanges[0], "Duplicate name", "The name %q is used at %s already. Dispatchers, nodes and agents share their names, because commands take any of them.", name, before)
		return false
	}
	p.names[name] = block.LabelRanges[0]
	return true
}

func (p *parser) engineRef(a *attributes, into *string) {
	a.text("engine", into)
	if attr := a.has["engine"]; attr != nil && *into != "" {
		p.uses = append(p.uses, engineUse{*into, attr.Expr.Range()})
	}
}

func (p *parser) errorf(rng hcl.Range, summary, format string, args ...any) {
	p.diags = append(p.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng,
	})
}
