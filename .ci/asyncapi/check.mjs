// Reads an AsyncAPI document with AsyncAPI's own parser; anything it has to say fails.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const path = process.argv[2];
const { document, diagnostics } = await new Parser().parse(readFileSync(path, 'utf8'));
// Severities: 0 error, 1 warning; what is below is advice on tags and contacts.
const told = diagnostics.filter((found) => found.severity <= 1);
for (const found of told) {
  console.error(`${path}: ${found.code}: ${found.message} at ${found.path.join('.')}`);
}
if (document === undefined || told.length > 0) process.exit(1);
const count = (all) => all.all().length;
console.log(
  `${path}: AsyncAPI ${document.version()}, ${count(document.operations())} operations, ` +
    `${count(document.components().messages())} messages`,
);
