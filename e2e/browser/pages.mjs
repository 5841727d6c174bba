// Follows customers through the pages of a message in a real browser, and looks
// at each page with axe. Reads what browser_test.go says on standard input, and
// prints a line for each step; what is wrong ends it with exit code 1.
import {execFileSync} from 'node:child_process'
import {readFileSync} from 'node:fs'
import {createRequire} from 'node:module'
import {join} from 'node:path'
import {chromium} from 'playwright-core'

const {browser: executablePath, binary, customers, foreign, shots} = JSON.parse(readFileSync(0, 'utf8'))
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const widths = {desktop: {width: 1280, height: 900}, phone: {width: 360, height: 780}}
const rules = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const words = {
	sv: {leave: 'Avsluta', left: 'Du är avanmäld', less: 'Avsluta bara: Nyhetsbrev', saved: 'Dina val är sparade', undo: 'Ångra', undone: 'Allt är som det var förut',
		inMail: 'Avsluta utskicken', save: 'Spara mina val', everything: /^Allt: /, other: 'English'},
	en: {leave: 'Unsubscribe', left: 'You are unsubscribed', less: 'Stop only: Newsletter', saved: 'Your choices are saved', undo: 'Undo', undone: 'It is as it was before',
		inMail: 'Unsubscribe', save: 'Save my choices', everything: /^Everything: /, other: 'Svenska'},
}
let failures = 0

function wrong(where, what) {
	failures++
	console.error(`${where}: ${what}`)
}

function want(where, got, wanted) {
	if (got !== wanted) wrong(where, `${JSON.stringify(got)}, want ${JSON.stringify(wanted)}`)
}

// The program itself says what holds.
function wantWish(where, {address}, wanted) {
	for (const [topic, says] of Object.entries(wanted)) {
		want(`${where}, messages of ${topic}`, execFileSync(binary, ['suppressions', 'check', address, '--topic', topic], {encoding: 'utf8'}).trim(), says)
	}
}

async function wantPage(page, where, heading, language) {
	want(`${where}, heading`, await page.getByRole('heading', {level: 1}).innerText(), heading)
	want(`${where}, title`, (await page.title()).startsWith(heading), true)
	want(`${where}, language`, await page.locator('html').getAttribute('lang'), language)
	// Nothing is wider than the screen, and nothing smaller than a finger needs
	// (WCAG 2.2, 1.4.10 and 2.5.8).
	const sizes = await page.evaluate(() => [document.documentElement.scrollWidth - document.documentElement.clientWidth,
		...[...document.querySelectorAll('a, button, input:not([type=hidden])')].flatMap(e => {
			const {width, height} = e.getBoundingClientRect()
			return width < 24 || height < 24 ? [e.outerHTML.slice(0, 80)] : []
		})])
	if (sizes.length > 1 || sizes[0] > 0) wrong(where, `too wide by ${sizes[0]}, too small: ${sizes.slice(1)}`)
}

// shot keeps a picture where pictures are asked for.
async function shot(page, name) {
	if (shots) await page.screenshot({path: join(shots, `${name}.png`), fullPage: true})
	console.log(name)
}

// From a mail to unsubscribed, to narrowed, to undone, without scripts.
async function follow(browser, width, customer) {
	const w = words[customer.language]
	const context = await browser.newContext({viewport: widths[width], javaScriptEnabled: false, locale: 'de-DE'})
	const page = await context.newPage()
	const step = name => `pages-${width}-${name}`
	await page.goto(`file://${customer.mail}`)
	await shot(page, step('mail'))
	await page.getByRole('link', {name: w.inMail}).click()
	await wantPage(page, step('form'), customer.title, customer.language)
	wantWish(step('form'), customer, {newsletter: 'clear', offer: 'clear'})
	await shot(page, step('form'))

	await page.getByRole('button', {name: w.leave, exact: true}).click()
	await wantPage(page, step('left'), w.left, customer.language)
	wantWish(step('left'), customer, {newsletter: 'suppressed unsubscribed', offer: 'suppressed unsubscribed'})
	await shot(page, step('left'))

	await page.getByRole('button', {name: w.less}).click()
	await wantPage(page, step('narrowed'), w.saved, customer.language)
	wantWish(step('narrowed'), customer, {newsletter: 'suppressed unsubscribed', offer: 'clear'})
	await shot(page, step('narrowed'))

	// By the keyboard alone: everything, and then all of it undone.
	await page.getByRole('checkbox', {name: w.everything}).focus()
	await page.keyboard.press('Space')
	await page.getByRole('button', {name: w.save}).focus()
	await page.keyboard.press('Enter')
	await page.getByRole('checkbox', {name: w.everything, checked: true}).waitFor()
	wantWish(step('everything'), customer, {newsletter: 'suppressed objected', offer: 'suppressed objected'})

	await page.getByRole('button', {name: w.undo, exact: true}).click()
	await wantPage(page, step('undone'), w.undone, customer.language)
	wantWish(step('undone'), customer, {newsletter: 'clear', offer: 'clear'})
	await shot(page, step('undone'))
	want(step('cookies'), (await context.cookies()).length, 0)
	await context.close()
}

// Each page by axe, which needs scripts and so a way around the pages' policy.
async function examine(browser, width, customer) {
	const w = words[customer.language]
	const context = await browser.newContext({viewport: widths[width], bypassCSP: true})
	const page = await context.newPage()
	const look = async name => {
		await page.evaluate(axe)
		const found = await page.evaluate(values => globalThis.axe.run({runOnly: {type: 'tag', values}}), rules)
		for (const v of found.violations) wrong(`${width} ${customer.language} ${name}`, `${v.id}: ${v.help}: ${v.nodes.map(n => n.html).join(' ').slice(0, 300)}`)
		console.log(`axe ${width} ${customer.language} ${name}: ${found.passes.length} rules pass, ${found.violations.length} do not`)
	}
	await page.goto(customer.unsubscribe)
	await look('form')
	await page.getByRole('button', {name: w.leave, exact: true}).click()
	await look('left')
	await page.getByRole('button', {name: w.less}).click()
	await look('narrowed')
	await page.getByRole('button', {name: w.other}).click()
	await page.locator(`html[lang=${customer.language === 'sv' ? 'en' : 'sv'}]`).waitFor()
	await look('narrowed, in the other language')
	await page.goto(customer.preferences)
	await look('choices, of which one holds')
	await page.goto(foreign)
	await look('missing')
	await context.close()
}

const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking']})
try {
	for (const [i, width] of Object.keys(widths).entries()) {
		await follow(browser, width, customers[2 * i])
		await examine(browser, width, customers[2 * i + 1])
	}
} finally {
	await browser.close()
}
process.exitCode = failures ? 1 : 0
