package detect

// Attribute says whose trouble an incident is, by its measurement and those of
// the other incidents (all may hold m itself).
func Attribute(m *Measurement, all []Measurement) Attribution {
	a := Attribution{
		Actor: m.Incident.Class.Actor(), Confidence: 0.5,
		Contributing: m.Incident.Contributing,
	}
	return a
}
