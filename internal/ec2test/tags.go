package ec2test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A tagSet is the tags of one resource, and since when.
type tagSet struct {
	resource string
	tags     map[string]string
	since    map[string]time.Time
}

func (t *tagSet) set(tags map[string]string, now time.Time) {
	if t.tags == nil {
		t.tags, t.since = map[string]string{}, map[string]time.Time{}
	}
	for k, v := range tags {
		t.tags[k], t.since[k] = v, now
	}
}

type xmlTag struct {
	Key   string `xml:"key"`
	Value string `xml:"value"`
}

// visibleTags are the tags that can be seen already, nil where there are none.
func (s *Server) visibleTags(t *tagSet, now time.Time) *set[xmlTag] {
	var out set[xmlTag]
	for _, k := range slices.Sorted(maps.Keys(t.tags)) {
		if !now.Before(t.since[k].Add(s.faults.TagsHiddenFor)) {
			out.Items = append(out.Items, xmlTag{k, t.tags[k]})
		}
	}
	if out.Items == nil {
		return nil
	}
	return &out
}

// tagAttribute is what the filters tag:KEY, tag-key and tag-value compare with.
func (s *Server) tagAttribute(t *tagSet, name string, now time.Time) (values []string, ok bool) {
	key, byKey := strings.CutPrefix(name, "tag:")
	if !byKey && name != "tag-key" && name != "tag-value" {
		return nil, false
	}
	visible := s.visibleTags(t, now)
	if visible == nil {
		return nil, true
	}
	for _, tag := range visible.Items {
		switch {
		case name == "tag-key":
			values = append(values, tag.Key)
		case name == "tag-value" || byKey && tag.Key == key:
			values = append(values, tag.Value)
		}
	}
	return values, true
}

// parseTags reads a list of tags and holds it to the service's rules.
func parseTags(list []params) (map[string]string, error) {
	tags := map[string]string{}
	for _, p := range list {
		key, value := p.str("Key"), p.str("Value")
		switch {
		case key == "" || len([]rune(key)) > 127:
			return nil, badValue("Tag key exceeds the maximum length of 127 characters, or is empty")
		case len([]rune(value)) > 255:
			return nil, badValue("Tag value exceeds the maximum length of 255 characters")
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return nil, badValue("Tag keys starting with 'aws:' are reserved for internal use")
		}
		if _, twice := tags[key]; twice {
			return nil, badValue("Duplicate tag key '%s' specified.", key)
		}
		tags[key] = value
	}
	if len(tags) > 50 {
		return nil, fault(http.StatusBadRequest, "TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	return tags, nil
}

// specTags are the tags of a call's TagSpecification for one type of resource.
func specTags(p params, resource string) (map[string]string, error) {
	for _, t := range p.structs("TagSpecification") {
		if t.str("ResourceType") == resource {
			return parseTags(t.structs("Tag"))
		}
	}
	return nil, nil
}

func (s *Server) createTags(p params) (answer, error) {
	now := time.Now()
	tags, err := parseTags(p.structs("Tag"))
	if err != nil {
		return nil, err
	}
	ids := p.list("ResourceId")
	if len(ids) == 0 || len(tags) == 0 {
		return nil, missing("ResourceId and Tag")
	}
	if len(ids) > 1000 {
		return nil, badValue("The maximum number of resources is 1000")
	}
	var sets []*tagSet
	for _, id := range ids {
		t, err := s.tagsOf(id, now)
		if err != nil {
			return nil, err
		}
		sets = append(sets, t)
	}
	for _, t := range sets {
		t.set(tags, now)
	}
	return answer{{"return", true}}, nil
}

func (s *Server) tagsOf(id string, now time.Time) (*tagSet, error) {
	if t := s.tagged[id]; t != nil {
		return t, nil
	}
	if strings.HasPrefix(id, "i-") {
		i, err := s.find(id, now)
		if err != nil {
			return nil, err
		}
		return i.tags, nil
	}
	return nil, fault(http.StatusBadRequest, "InvalidID", "The ID '%s' is not valid", id)
}

type xmlTagDescription struct {
	Key      string `xml:"key"`
	Resource string `xml:"resourceId"`
	Type     string `xml:"resourceType"`
	Value    string `xml:"value"`
}

func (s *Server) describeTags(p params) (answer, error) {
	now := time.Now()
	filters, err := s.parseFilters(p)
	if err != nil {
		return nil, err
	}
	all := map[string]*tagSet{}
	maps.Copy(all, s.tagged)
	for _, i := range s.order {
		if !s.hidden(i, now) {
			all[i.id] = i.tags
		}
	}
	var found []xmlTagDescription
	for _, id := range slices.Sorted(maps.Keys(all)) {
		visible := s.visibleTags(all[id], now)
		if visible == nil {
			continue
		}
		for _, tag := range visible.Items {
			ok, err := filters.match(func(name string) ([]string, bool) {
				switch name {
				case "key":
					return []string{tag.Key}, true
				case "value":
					return []string{tag.Value}, true
				case "resource-id":
					return []string{id}, true
				case "resource-type":
					return []string{all[id].resource}, true
				}
				if key, is := strings.CutPrefix(name, "tag:"); is {
					if key == tag.Key {
						return []string{tag.Value}, true
					}
					return nil, true
				}
				return nil, false
			})
			if err != nil {
				return nil, err
			}
			if ok {
				found = append(found, xmlTagDescription{tag.Key, id, all[id].resource, tag.Value})
			}
		}
	}
	from, to, next, err := p.page("MaxResults", len(found), 5, 1000)
	if err != nil {
		return nil, err
	}
	return withNext(answer{{"tagSet", set[xmlTagDescription]{found[from:to]}}}, next), nil
}
