// A request as a curl line and as Python.

import { key, server } from "./api.js";

const OWN = ["model", "voice", "input", "response_format", "speed"];  // arguments of OpenAI's SDK

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

export function curl(body) {
  const authorization = key.get() ? ` \\\n  -H "Authorization: Bearer $OPENAI_API_KEY"` : "";
  return (
    `curl ${server}v1/audio/speech \\\n  -H 'Content-Type: application/json'${authorization} \\\n` +
    `  -d ${quoted(JSON.stringify(body))} \\\n  -o speech.${body.response_format}\n`
  );
}

export function python(body) {
  const given = Object.entries(body);
  const literal = (value) => JSON.stringify(value);  // strings and numbers are the same in Python
  const own = given.filter(([name]) => OWN.includes(name)).map(([name, value]) => `    ${name}=${literal(value)},\n`);
  const others = given.filter(([name]) => !OWN.includes(name)).map(([name, value]) => `${literal(name)}: ${literal(value)}`);
  const extra = others.length ? `    extra_body={${others.join(", ")}},\n` : "";
  const secret = key.get() ? "" : `, api_key="none"`;
  return (
    `from openai import OpenAI\n\nclient = OpenAI(base_url="${server}v1"${secret})\n` +
    `client.audio.speech.create(\n${own.join("")}${extra}).write_to_file("speech.${body.response_format}")\n`
  );
}
