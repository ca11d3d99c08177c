// Loads pages one after the other, as a browser does, by the lines of docs/front-end.md, and says what each one shows.
import { readFileSync } from "node:fs";
import sdk from "@convertcom/js-sdk";

const { lines, sdkKey, endpoint, attributes, location, pages, goal } = JSON.parse(readFileSync(0, "utf8"));
const AsyncFunction = (async () => {}).constructor;
const load = new AsyncFunction("ConvertSDK", "document", "localStorage", "SDK_KEY", "location", `${lines}; return context;`);

class ConvertSDK extends sdk.default {
  constructor(config) {
    super({ ...config, api: { endpoint: { config: endpoint, track: endpoint } }, events: { release_interval: 5 }, logger: { logLevel: sdk.LogLevel.SILENT } });
  }
}

const browsers = {};
const shown = [];
for (const { browser, page } of pages) {
  const kept = (browsers[browser] ??= new Map());
  const localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const document = { getElementById: (id) => (id === "convert-bootstrap" ? { textContent: page } : null) };
  const context = await load(ConvertSDK, document, localStorage, sdkKey, location);
  const found = context.runExperiences({ locationProperties: location });
  const again = context.runExperiences({ locationProperties: location });
  const features = context.runFeatures({ locationProperties: location });
  if (goal) context.trackConversion(goal);
  // Sent at once, as a page does that is left; nothing asks for it where tracking is off.
  await (JSON.parse(page).tracking ? context.releaseQueues("page") : new Promise((wake) => setTimeout(wake, 20)));
  shown.push({
    decisions: Object.fromEntries(found.map((each) => [each.experienceKey, each.key])),
    stays: JSON.stringify(found.map((each) => each.id)) === JSON.stringify(again.map((each) => each.id)),
    features: Object.fromEntries(features.filter((each) => each.status === "enabled").map((each) => [each.key, each.variables])),
  });
}
console.log(JSON.stringify(shown));
process.exit(0);
