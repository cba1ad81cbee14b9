// A day with `@huggingface/hub`, which reads no environment: it is given the URL and the credential.
// node hub.js work | read REPO | write REPO
import { createHash } from "node:crypto";
import * as hub from "@huggingface/hub";

const access = { hubUrl: process.env.HF_ENDPOINT, accessToken: process.env.HF_TOKEN };
const LARGE = Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join("");
const digest = (bytes) => createHash("sha256").update(Buffer.from(bytes)).digest("hex");

async function digestOf(repo, path, options = {}) {
	const file = await hub.downloadFile({ repo, path, ...options, ...access });
	return digest(await file.arrayBuffer());
}

async function all(iterable) {
	const items = [];
	for await (const item of iterable) items.push(item);
	return items;
}

async function read(repo) {
	return {
		whoami: (await hub.whoAmI(access)).name,
		model: (await hub.modelInfo({ name: repo, ...access })).name,
		small: await digestOf(repo, "config.json"),
		large: await digestOf(repo, "model.bin"),
		largeWithoutXet: await digestOf(repo, "model.bin", { xet: false }),
		exists: await hub.fileExists({ repo, path: "config.json", ...access }),
		missing: await hub.downloadFile({ repo, path: "no-such-file", ...access }),
		files: (await all(hub.listFiles({ repo, recursive: true, ...access }))).map((file) => file.path).sort(),
		commits: (await all(hub.listCommits({ repo, ...access }))).length,
		models: (await all(hub.listModels({ search: { owner: "me" }, ...access }))).map((model) => model.name).sort(),
	};
}

async function write(repo, options = {}) {
	const files = [
		{ path: "small.txt", content: new Blob(["small\n"]) },
		{ path: "large.bin", content: new Blob([LARGE]) },
	];
	await hub.uploadFiles({ repo, files, ...options, ...access });
}

async function work() {
	const seen = await read("me/secret-model");
	await hub.createRepo({ repo: "me/made", private: true, ...access });
	await write("me/made");
	await hub.createRepo({ repo: "spaces/me/made-too", private: true, sdk: "static", ...access });
	await write("spaces/me/made-too", { useXet: false });
	seen.back = await digestOf("me/made", "large.bin");
	seen.backFromSpace = await digestOf("spaces/me/made-too", "large.bin");
	return seen;
}

const [what, repo] = process.argv.slice(2);
const seen = await { work, read, write }[what](repo);
console.log("RESULT" + JSON.stringify(seen ?? {}));
