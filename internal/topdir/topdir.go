// Package topdir tells the file system which folders do not belong together.
package topdir
