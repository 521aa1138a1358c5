package ec2test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// A launchTemplate has one version here: nobody changes them.
type launchTemplate struct {
	id, name string
	spec     spec
	created  time.Time
	tags     *tagSet
	token    string
	print    string
}

type xmlTemplate struct {
	ID      string       `xml:"launchTemplateId"`
	Name    string       `xml:"launchTemplateName"`
	Created string       `xml:"createTime"`
	By      string       `xml:"createdBy"`
	Default int          `xml:"defaultVersionNumber"`
	Latest  int          `xml:"latestVersionNumber"`
	Tags    *set[xmlTag] `xml:"tagSet"`
}

var templateName = regexp.MustCompile(`^[a-zA-Z0-9().\-/_]{3,128}$`)

func (s *Server) createLaunchTemplate(p params) (answer, error) {
	name, token := p.str("LaunchTemplateName"), p.str("ClientToken")
	if !templateName.MatchString(name) {
		return nil, badValue("Invalid launch template name '%s'", name)
	}
	for _, t := range s.templates {
		if token != "" && t.token == token {
			if t.print != p.fingerprint() {
				return nil, fault(http.StatusBadRequest, "IdempotentParameterMismatch", "Client token already used before.")
			}
			return answer{{"launchTemplate", s.describeTemplate(t)}}, nil
		}
		if t.name == name {
			return nil, fault(http.StatusBadRequest, "InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
		}
	}
	data := p.sub("LaunchTemplateData")
	if !data.any() {
		return nil, missing("LaunchTemplateData")
	}
	sp, err := s.parseSpec(data)
	if err != nil {
		return nil, err
	}
	tags, err := specTags(p, "launch-template")
	if err != nil {
		return nil, err
	}
	s.seq++
	t := &launchTemplate{
		id: fmt.Sprintf("lt-%017x", s.seq), name: name, spec: sp, created: time.Now(),
		tags: &tagSet{resource: "launch-template"}, token: token, print: p.fingerprint(),
	}
	t.tags.set(tags, t.created)
	s.templates[t.id], s.tagged[t.id] = t, t.tags
	return answer{{"launchTemplate", s.describeTemplate(t)}}, nil
}

func (s *Server) describeTemplate(t *launchTemplate) xmlTemplate {
	return xmlTemplate{t.id, t.name, timestamp(t.created), "arn:aws:iam::" + s.opt.Account + ":root", 1, 1, s.visibleTags(t.tags, time.Now())}
}

func (s *Server) findTemplate(id, name string) (*launchTemplate, error) {
	for _, t := range s.templates {
		if t.id == id || id == "" && t.name == name {
			return t, nil
		}
	}
	if id != "" {
		return nil, fault(http.StatusBadRequest, "InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	}
	return nil, unknownTemplate(name)
}

func unknownTemplate(name string) *Error {
	return fault(http.StatusBadRequest, "InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
}

// late says whether what was made then is not known everywhere yet.
func (s *Server) late(made time.Time) bool { return time.Since(made) < s.faults.NamesLateFor }

func (s *Server) deleteLaunchTemplate(p params) (answer, error) {
	t, err := s.findTemplate(p.str("LaunchTemplateId"), p.str("LaunchTemplateName"))
	if err != nil {
		return nil, err
	}
	delete(s.templates, t.id)
	delete(s.tagged, t.id)
	return answer{{"launchTemplate", s.describeTemplate(t)}}, nil
}

func (s *Server) describeLaunchTemplates(p params) (answer, error) {
	ids, names := p.list("LaunchTemplateId"), p.list("LaunchTemplateName")
	for _, id := range ids {
		if _, err := s.findTemplate(id, ""); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if _, err := s.findTemplate("", name); err != nil {
			return nil, err
		}
	}
	filters, err := s.parseFilters(p)
	if err != nil {
		return nil, err
	}
	var found []xmlTemplate
	for _, id := range slices.Sorted(maps.Keys(s.templates)) {
		t := s.templates[id]
		if len(ids) > 0 && !slices.Contains(ids, id) || len(names) > 0 && !slices.Contains(names, t.name) {
			continue
		}
		ok, err := filters.match(func(attribute string) ([]string, bool) {
			if attribute == "launch-template-name" {
				return []string{t.name}, true
			}
			return s.tagAttribute(t.tags, attribute, time.Now())
		})
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, s.describeTemplate(t))
		}
	}
	from, to, next, err := p.page("MaxResults", len(found), 1, 200)
	if err != nil {
		return nil, err
	}
	return withNext(answer{{"launchTemplates", set[xmlTemplate]{found[from:to]}}}, next), nil
}
