// Package topdir tells the file system how folders belong together.
package topdir
