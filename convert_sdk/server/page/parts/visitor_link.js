import { writeRoute } from "./route.js";

const COMPACT = ["attributes", "location", "state", "segments", "instead"];
const WORDS = { anywhere: "anywhere", null: null };

/** The visitor that an address asks about. */
export function readVisitor(parameters) {
  const visitor = { visitor_id: parameters.get("visitor") ?? "", attributes: {}, location: {}, environment: parameters.get("environment"), state: {}, segments: [], instead: [] };
  const bucketing = parameters.get("bucketing_id");
  if (bucketing) visitor.bucketing_id = bucketing;
  for (const name of COMPACT) {
    const text = parameters.get(name);
    if (text === null) continue;
    visitor[name] = name === "location" && text in WORDS ? WORDS[text] : JSON.parse(text);
  }
  return visitor;
}

/** The address of a visitor and an experience. */
export function visitorRoute(visitor, experience) {
  const parameters = { visitor: visitor.visitor_id, environment: visitor.environment, bucketing_id: visitor.bucketing_id };
  for (const name of COMPACT) {
    const value = visitor[name];
    if (value === null || value === "anywhere") parameters[name] = String(value);
    else if (value !== undefined && Object.keys(value).length) parameters[name] = JSON.stringify(value);
  }
  return writeRoute("visitor", experience === undefined ? [] : [experience], parameters);
}
